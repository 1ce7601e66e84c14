// Which endpoints of a Service port to try, and in which order: what is usable, what was tried already, what the client
// had before, and then the balancer.

import type { Random } from '../../model/clock.ts'
import type { ConnectionPolicy } from '../../model/connection-policy.ts'
import type { Ip } from '../../model/ip.ts'
import { BALANCERS, STARTS_SLOWLY } from './balance/balancer.ts'
import { random } from './balance/random.ts'
import type { ConnectDecision } from './decision.ts'
import type { EndpointKey } from './endpoint-key.ts'
import type { PoolState } from './pool-state.ts'
import type { Candidate, Pool } from './pool.ts'
import type { RetryProgress } from './retry.ts'
import type { ServiceTraffic } from './service-traffic.ts'

export interface Choice extends Pick<
  ConnectDecision,
  'candidates' | 'roundComplete' | 'sticky' | 'ejected' | 'panic'
> {
  readonly candidates: readonly Candidate[]
}

export interface Chooser {
  readonly traffic: ServiceTraffic
  readonly policy: ConnectionPolicy
  readonly client: Ip
  /** What the client had last. */
  readonly sticky: EndpointKey | undefined
  readonly progress: RetryProgress
  readonly maxCandidates: number
  readonly nowMs: number
  readonly draw: Random
}

/** undefined: every endpoint is ejected. */
export function choose(state: PoolState, by: Chooser): Choice | undefined {
  const { traffic, policy, nowMs } = by
  const usable = state.usable(traffic.ejected(nowMs), policy.outlier)
  if (usable.pool.members.length === 0) return undefined
  const { tried } = by.progress
  const left = tried.size === 0 ? usable.pool : usable.pool.without(tried)
  // After everything was tried, everything may be tried again.
  const pool = left.members.length === 0 ? usable.pool : left
  const sticky = by.sticky === undefined ? undefined : pool.get(by.sticky)
  const wanted = Math.min(by.maxCandidates, attemptsLeft(by))
  const candidates = order(
    state,
    { pool, whole: usable.whole, isStanding: pool === usable.pool },
    sticky,
    wanted,
    by,
  )
  return {
    candidates,
    roundComplete: candidates.length >= pool.members.length,
    sticky:
      sticky !== undefined ? 'kept' : by.sticky !== undefined && knows(state, by.sticky) ? 'lost' : 'none',
    ejected: usable.out,
    panic: usable.panic,
  }
}

/**
 * Going on to the next of the first candidates costs nothing: it is what hides an endpoint that is down. What comes after
 * them is paid for by the budget, and the caller saw that it can.
 */
function attemptsLeft({ traffic, policy, progress, nowMs }: Chooser): number {
  const isFirst = progress.round === 0 && progress.tried.size === 0
  return isFirst ? Infinity : Math.max(1, traffic.retriesLeft(nowMs, policy.connect.retryBudget))
}

interface From {
  readonly pool: Pool
  readonly whole: Pool
  /** Not made for this connection alone. */
  readonly isStanding: boolean
}

function order(
  state: PoolState,
  { pool, whole, isStanding }: From,
  sticky: Candidate | undefined,
  wanted: number,
  by: Chooser,
): readonly Candidate[] {
  const { traffic, policy, client, nowMs, draw } = by
  const { kind } = policy.balancer
  const choosing = { pool, whole, state, traffic, policy: policy.balancer, client, nowMs, draw }
  if (sticky !== undefined) {
    if (wanted === 1) return [sticky]
    const others = random(choosing, wanted).filter((each) => each !== sticky)
    return [sticky, ...others.slice(0, wanted - 1)]
  }
  // A rotation goes round what stands; for what is left of a pool after failures it would lose its place.
  if (!isStanding)
    return kind === 'Maglev' || kind === 'PeakEWMA'
      ? BALANCERS[kind](choosing, wanted)
      : random(choosing, wanted)
  if (!STARTS_SLOWLY[kind]) return BALANCERS[kind](choosing, wanted)
  const warmed = state.warmed(pool, traffic, policy, nowMs)
  return BALANCERS[kind](warmed === pool ? choosing : { ...choosing, pool: warmed, whole: warmed }, wanted)
}

/** Whether the endpoint is still one of the Service, and only out for now. */
function knows({ weighted, spare }: PoolState, key: EndpointKey): boolean {
  return weighted.has(key) || spare.has(key)
}
