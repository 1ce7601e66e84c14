// Draws without putting back: several different members of a pool, each next one in proportion to the weights of those
// that are left. The time depends on how many are drawn, and on the logarithm of the pool.

import type { Random } from '../../../model/clock.ts'
import type { Candidate, Pool } from '../pool.ts'

/** `wanted` members, or all of a smaller pool, in the order in which they were drawn. */
export function drawCandidates(pool: Pool, wanted: number, draw: Random): Candidate[] {
  const indexes =
    pool.weights === undefined ? drawAlike(pool, wanted, draw) : drawWeighted(pool, wanted, draw)
  return membersAt(pool, indexes)
}

/** The same, whatever the members weigh. */
export function drawAlike({ members }: Pool, wanted: number, draw: Random): number[] {
  const size = members.length
  const drawn: number[] = []
  // A shuffle of all indexes that is carried out for the first `wanted` places alone: what a swap would have put at a
  // place is kept beside it.
  const places: number[] = []
  const values: number[] = []
  for (let i = 0; i < Math.min(wanted, size); i++) {
    const place = i + Math.min(Math.floor(draw() * (size - i)), size - i - 1)
    const at = places.indexOf(place)
    drawn.push(at < 0 ? place : (values[at] ?? place))
    const own = places.indexOf(i)
    const moved = own < 0 ? i : (values[own] ?? i)
    if (at < 0) {
      places.push(place)
      values.push(moved)
    } else values[at] = moved
  }
  return drawn
}

function drawWeighted(pool: Pool, wanted: number, draw: Random): number[] {
  const size = pool.members.length
  const sums = pool.sums()
  let left = sums[size - 1] ?? 0
  const drawn: number[] = []
  /** Drawn ones by index. */
  const taken: number[] = []
  for (let i = 0; i < Math.min(wanted, size); i++) {
    let at = draw() * left
    // Steps over the stretches of those that are taken.
    for (const index of taken) if (at >= (sums[index] ?? 0) - pool.weight(index)) at += pool.weight(index)
    const index = freeFrom(firstAbove(sums, at), taken, size)
    drawn.push(index)
    left -= pool.weight(index)
    taken.splice(firstAbove(taken, index), 0, index)
  }
  return drawn
}

/** Rounding may lead to one that is taken, or past the end: then the next that is free. */
function freeFrom(index: number, taken: readonly number[], size: number): number {
  let free = index % size
  while (taken.includes(free)) free = (free + 1) % size
  return free
}

/** Index of the first number that is greater; the length if none is. */
function firstAbove(sorted: ArrayLike<number>, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) > value) high = middle
    else low = middle + 1
  }
  return low
}

export function membersAt({ members }: Pool, indexes: readonly number[]): Candidate[] {
  const candidates: Candidate[] = []
  for (const index of indexes) {
    const member = members[index]
    if (member !== undefined) candidates.push(member)
  }
  return candidates
}
