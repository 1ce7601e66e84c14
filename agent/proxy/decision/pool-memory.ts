// The pools of one Service port, by name and family: derived from the view when it changes, kept in between. Thus a
// decision costs the same for ten endpoints as for a thousand.

import type { Family } from '../../model/ip.ts'
import type { EndpointKey } from './endpoint-key.ts'
import { PoolState } from './pool-state.ts'
import type { Pool } from './pool.ts'
import type { PoolName } from './view.ts'

export class PoolMemory {
  readonly #states = new Map<string, PoolState>()

  of(name: PoolName, family: Family): PoolState {
    const key = family === 'IPv4' ? name : `${name}/${family}`
    let state = this.#states.get(key)
    if (state === undefined) {
      state = new PoolState(family)
      this.#states.set(key, state)
    }
    return state
  }

  /** The pools that the endpoint is in. */
  sharing(endpoint: EndpointKey): readonly Pool[] {
    const sharing: Pool[] = []
    for (const { weighted } of this.#states.values()) if (weighted.has(endpoint)) sharing.push(weighted)
    return sharing
  }
}
