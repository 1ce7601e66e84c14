// What all balancers have in common, and which kind is which. A balancer names the endpoints to try, the most wanted
// first; it sees what is remembered of them and never changes it.

import type { Random } from '../../../model/clock.ts'
import type { BalancerKind, BalancerPolicy } from '../../../model/connection-policy.ts'
import type { Ip } from '../../../model/ip.ts'
import type { Candidate, Pool } from '../pool.ts'
import type { PoolState } from '../pool-state.ts'
import type { ServiceTraffic } from '../service-traffic.ts'
import { leastConnections } from './least-connections.ts'
import { maglev } from './maglev.ts'
import { peakEwma } from './peak-ewma.ts'
import { random } from './random.ts'
import { roundRobin } from './round-robin.ts'

export interface Choosing {
  /** What may be chosen; not empty. */
  readonly pool: Pool
  /** The pool before ejections took some away: what a table may be made from. */
  readonly whole: Pool
  /** Where balancers keep their place and their tables. */
  readonly state: Pick<PoolState, 'rotation' | 'lookup'>
  readonly traffic: Pick<ServiceTraffic, 'active' | 'latencyMs'>
  readonly policy: BalancerPolicy
  /** The true client. */
  readonly client: Ip
  /** Monotonic. */
  readonly nowMs: number
  readonly draw: Random
}

/** Up to `wanted` different members of the pool, at least one. */
export type Balancer = (choosing: Choosing, wanted: number) => Candidate[]

export const BALANCERS: Readonly<Record<BalancerKind, Balancer>> = {
  Random: random,
  RoundRobin: roundRobin,
  LeastConnections: leastConnections,
  PeakEWMA: peakEwma,
  Maglev: maglev,
}

/** Whether slow start changes what the balancer does; the others have their own way to be careful, or none. */
export const STARTS_SLOWLY: Readonly<Record<BalancerKind, boolean>> = {
  Random: true,
  RoundRobin: true,
  LeastConnections: true,
  PeakEWMA: false,
  Maglev: false,
}
