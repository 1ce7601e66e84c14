// Envoy's slow start: a new endpoint gets a part of its weight that grows until the window is over, so that what has cold
// caches is not hit with its full share at once.

import type { BalancerPolicy } from '../../../model/connection-policy.ts'
import type { EndpointKey } from '../endpoint-key.ts'
import { Pool } from '../pool.ts'

type SlowStart = BalancerPolicy['slowStart']

/** Weights are taken anew so many times in a window; in between they stand. */
export const WARM_STEPS = 100

/** Of a policy without a least weight: what weighs nothing could never be chosen. */
const LEAST_PART = 1e-6

/** The part of its weight that an endpoint has at an age: max(min, (max(age, 1 s) / window) ^ (1 / aggression)). */
export function warmth(ageMs: number, { windowMs, minWeightPercent, aggression }: SlowStart): number {
  if (ageMs >= windowMs) return 1
  const timeFactor = Math.min(1, Math.max(ageMs, 1_000) / windowMs)
  return Math.min(1, Math.max(minWeightPercent / 100, timeFactor ** (1 / aggression)))
}

/** The pool with the weights of this moment; itself if nobody is new. */
export function warm(
  pool: Pool,
  joinedAtMs: (key: EndpointKey) => number,
  slowStart: SlowStart,
  nowMs: number,
): Pool {
  const parts = Float64Array.from(pool.members, ({ key }) => warmth(nowMs - joinedAtMs(key), slowStart))
  if (parts.every((part) => part === 1)) return pool
  return new Pool(
    pool.members,
    parts.map((part, index) => Math.max(part, LEAST_PART) * pool.weight(index)),
  )
}
