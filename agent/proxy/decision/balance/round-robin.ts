// Round robin by weight: exact over a whole round, and spread out within it.

import type { Candidate, Pool } from '../pool.ts'
import type { Balancer, Choosing } from './balancer.ts'
import { drawCandidates } from './draw.ts'
import { Rotation } from './rotation.ts'

export const roundRobin: Balancer = (choosing, wanted) => {
  const { pool, draw } = choosing
  return firstThenAny(pool, rotationOf(choosing).next(), wanted, draw)
}

/** The rotation of this pool, which goes on from where it was before the pool changed. */
export function rotationOf({ state, pool, draw }: Choosing): Rotation {
  state.rotation ??= new Rotation()
  state.rotation.follow(pool, draw)
  return state.rotation
}

/**
 * A chosen member, then others at random. Not the next in turn: the one behind a member that fails would get all of its
 * connections, and its own.
 */
export function firstThenAny(pool: Pool, first: number, wanted: number, draw: Choosing['draw']): Candidate[] {
  const chosen = pool.members[first]
  const others = wanted <= 1 && chosen !== undefined ? [] : drawCandidates(pool, wanted, draw)
  if (chosen === undefined) return others
  const candidates = [chosen]
  for (const each of others) if (each !== chosen && candidates.length < wanted) candidates.push(each)
  return candidates
}
