// What follows when no candidate took the connection: the endpoints of the pool that were not tried yet, at once; after
// all of them, a wait with full jitter and another round; until the deadline or the budget ends it.

import type { Random } from '../../model/clock.ts'
import type { ConnectPolicy } from '../../model/connection-policy.ts'
import type { ConnectDecision } from './decision.ts'
import type { EndpointKey } from './endpoint-key.ts'

/** How far a connection's attempts got; goes into the next decision as it is. */
export interface RetryProgress {
  /** Rounds over the whole pool that are over. */
  readonly round: number
  /** Tried in this round; the next decision prefers the others. */
  readonly tried: ReadonlySet<EndpointKey>
}

export const NOT_TRIED: RetryProgress = { round: 0, tried: new Set() }

export type NextRound =
  | { readonly kind: 'wait'; readonly delayMs: number; readonly progress: RetryProgress }
  | { readonly kind: 'giveUp'; readonly because: GiveUp }

/** To be counted apart. */
export type GiveUp =
  /** No time is left for another attempt. */
  | 'deadline'
  /** The retry budget of the Service port is spent. */
  | 'budget'

export interface Exhausted {
  /** What was tried last, and what came before. */
  readonly decision: Pick<ConnectDecision, 'candidates' | 'roundComplete' | 'policy'>
  readonly progress: RetryProgress
  /** Of this connection, monotonic. */
  readonly deadlineAtMs: number
  /** See ServiceTraffic.retriesLeft. */
  readonly retriesLeft: number
}

/** After the candidates of `decision` were exhausted. A delay never reaches the deadline. */
export function nextRound(exhausted: Exhausted, nowMs: number, draw: Random): NextRound {
  const { decision, progress, deadlineAtMs, retriesLeft } = exhausted
  if (nowMs >= deadlineAtMs) return { kind: 'giveUp', because: 'deadline' }
  if (retriesLeft < 1) return { kind: 'giveUp', because: 'budget' }
  if (!decision.roundComplete) {
    const tried = new Set(progress.tried)
    for (const { key } of decision.candidates) tried.add(key)
    return { kind: 'wait', delayMs: 0, progress: { round: progress.round, tried } }
  }
  const delayMs = backoffMs(progress.round, decision.policy.connect.backoff, draw)
  if (nowMs + delayMs >= deadlineAtMs) return { kind: 'giveUp', because: 'deadline' }
  return { kind: 'wait', delayMs, progress: { round: progress.round + 1, tried: NOT_TRIED.tried } }
}

/** Full jitter: uniform in [0, min(max, base * 2^round)). */
export function backoffMs(round: number, { baseMs, maxMs }: ConnectPolicy['backoff'], draw: Random): number {
  return draw() * Math.min(maxMs, baseMs * 2 ** round)
}
