// The power of two choices: of two different members drawn at random, the one that costs less. Nearly as even as looking
// at all of them, at the price of two, and proxies that know the same do not all run to the same endpoint.

import type { Candidate } from '../pool.ts'
import type { Choosing } from './balancer.ts'
import { drawAlike, membersAt } from './draw.ts'

/** Each further candidate is the better one of the last loser and another draw. */
export function twoChoices(
  { pool, draw }: Pick<Choosing, 'pool' | 'draw'>,
  wanted: number,
  costOf: (index: number) => number,
): Candidate[] {
  const drawn = drawAlike(pool, wanted + 1, draw)
  const order: number[] = []
  let [held, ...others] = drawn
  if (held === undefined) return []
  let heldCost = costOf(held)
  for (const other of others) {
    const otherCost = costOf(other)
    // The one drawn first wins a tie, which keeps ties random.
    if (otherCost < heldCost) order.push(other)
    else {
      order.push(held)
      held = other
      heldCost = otherCost
    }
  }
  if (order.length < wanted) order.push(held)
  return membersAt(pool, order)
}
