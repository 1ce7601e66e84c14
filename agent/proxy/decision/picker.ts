// The momentary state of a balancer: which endpoints to try, and in which order. A balancer that looks at load or at
// weights is another Picker; decide() does not change for it.

import type { Random } from '../../model/clock.ts'
import type { ViewEndpoint } from './view.ts'

export interface Picker {
  /** For the decision record. */
  readonly name: string
  /** Every endpoint of the pool exactly once, the most wanted first. Never changes the pool. */
  order(pool: readonly ViewEndpoint[], draw: Random): readonly ViewEndpoint[]
}

/** Uniform and independent of history, as kube-proxy balances (row 46). */
export const RANDOM_PICKER: Picker = {
  name: 'random',
  order(pool, draw) {
    const order = [...pool]
    for (let last = order.length - 1; last > 0; last--) {
      const chosen = Math.min(Math.floor(draw() * (last + 1)), last)
      const [a, b] = [order[last], order[chosen]]
      if (a !== undefined && b !== undefined) [order[last], order[chosen]] = [b, a]
    }
    return order
  },
}
