// What the proxy remembers of one Service port while connections come and go: how many are open and whose, how endpoints
// did, which are ejected, what retries may still cost. One thread decides for all workers, so these numbers are exact.
// What was learnt is changed here alone, by events; decisions read it.

import type { ConnectionPolicy, ConnectPolicy, LimitPolicy } from '../../model/connection-policy.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import type { Ip } from '../../model/ip.ts'
import type { EndpointKey } from './endpoint-key.ts'
import { SEED_MS, latencyNow, withSample, type Latency } from './latency.ts'
import { admission, type Admission } from './limits.ts'
import { blamesEndpoint, eject, isIn, isOutlier, maySpare, type OutlierRecord } from './outlier.ts'
import { PoolMemory } from './pool-memory.ts'
import { RetryBudget } from './retry-budget.ts'
import { TurnedAway } from './turned-away.ts'

/** For the log and the metrics. */
export interface Ejection {
  readonly endpoint: EndpointKey
  readonly forMs: number
  /** How often in a row. */
  readonly times: number
}

export class ServiceTraffic {
  readonly key: ServicePortKey
  /** What balancers keep of the pools of this Service port. */
  readonly pools = new PoolMemory()
  readonly #clients = new Map<Ip, number>()
  readonly #turnedAway = new TurnedAway()
  readonly #endpoints = new Map<EndpointKey, EndpointRecord>()
  readonly #budget = new RetryBudget()
  #open = 0
  #ejected: ReadonlySet<EndpointKey> = new Set()
  /** When the first of the ejected returns. */
  #nextReturnMs = Infinity

  constructor(key: ServicePortKey) {
    this.key = key
  }

  /** Counts a connection of a client in, if the limits allow it; then `leave` takes it out, exactly once. */
  admit(client: Ip, limits: LimitPolicy, nowMs: number): Admission {
    const ofClient = this.#clients.get(client) ?? 0
    const isCounted = (other: Ip): boolean => other === client || this.#clients.has(other)
    const waiting = this.#turnedAway.countWithout(isCounted, nowMs)
    const clients = this.#clients.size + (ofClient === 0 ? 1 : 0) + waiting
    const answer = admission({ all: this.#open, ofClient, clients }, limits)
    if (answer.kind === 'refused') {
      if (ofClient === 0) this.#turnedAway.add(client, nowMs)
      return answer
    }
    this.#open++
    this.#clients.set(client, ofClient + 1)
    return answer
  }

  leave(client: Ip): void {
    const ofClient = this.#clients.get(client)
    if (ofClient === undefined) return
    this.#open--
    if (ofClient > 1) this.#clients.set(client, ofClient - 1)
    else this.#clients.delete(client)
  }

  /** Admitted connections. */
  get open(): number {
    return this.#open
  }

  /** Clients that have one. */
  get clients(): number {
    return this.#clients.size
  }

  /**
   * An attempt begins; then either `failed` or `ended` comes, exactly once. `kind`: the first of its connection; another
   * candidate of its first decision, which costs nothing; or a later one, for which the retry budget pays.
   */
  started(endpoint: EndpointKey, nowMs: number, kind: 'first' | 'failover' | 'retry' = 'first'): void {
    this.#record(endpoint, nowMs).active++
    if (kind === 'retry') this.#budget.countRetry(nowMs)
    if (kind === 'first') this.#budget.countConnection(nowMs)
  }

  /** The endpoint took the connection. */
  connected(endpoint: EndpointKey, durationMs: number, nowMs: number, policy: ConnectionPolicy): void {
    const record = this.#record(endpoint, nowMs)
    record.failures = 0
    record.latency = withSample(record.latency, durationMs, nowMs, policy.balancer.decayMs)
  }

  /** An attempt failed with an errno's name. Returns the ejection that followed from it, if one did. */
  failed(
    endpoint: EndpointKey,
    failure: { readonly code: string; readonly durationMs: number },
    nowMs: number,
    policy: ConnectionPolicy,
  ): Ejection | undefined {
    const record = this.#record(endpoint, nowMs)
    this.#minusOne(endpoint, record)
    if (!blamesEndpoint(failure.code)) return undefined
    // A refusal is quick, and must not make the endpoint look like a quick one.
    const sampleMs = Math.max(failure.durationMs, SEED_MS)
    record.latency = withSample(record.latency, sampleMs, nowMs, policy.balancer.decayMs)
    if (!isIn(record, nowMs)) return undefined
    record.failures++
    const { outlier } = policy
    if (outlier === undefined || !isOutlier(record, nowMs, outlier)) return undefined
    const out = this.ejected(nowMs)
    const pools = this.pools.sharing(endpoint)
    // Of no pool any more, or one that cannot spare it.
    if (pools.length === 0) return undefined
    if (pools.some((pool) => !maySpare(pool.members.length, pool.count(out), outlier))) return undefined
    Object.assign(record, eject(record, nowMs, outlier))
    this.#findEjected(nowMs)
    return { endpoint, forMs: record.ejectedUntilMs - nowMs, times: record.ejections }
  }

  /** A connection that had an endpoint is over, or its attempt was given up without the endpoint's fault. */
  ended(endpoint: EndpointKey, _nowMs: number): void {
    const record = this.#endpoints.get(endpoint)
    if (record !== undefined) this.#minusOne(endpoint, record)
  }

  /** How many further attempts the budget pays for now; 0: none. Each is counted when it is `started`. */
  retriesLeft(nowMs: number, budget: ConnectPolicy['retryBudget']): number {
    return this.#budget.left(nowMs, budget)
  }

  retryAllowed(nowMs: number, budget: ConnectPolicy['retryBudget']): boolean {
    return this.retriesLeft(nowMs, budget) > 0
  }

  /** Connections to the endpoint, those that are being opened among them. */
  active(endpoint: EndpointKey): number {
    return this.#endpoints.get(endpoint)?.active ?? 0
  }

  /** How long it is thought to take to answer a connection. */
  latencyMs(endpoint: EndpointKey, nowMs: number, decayMs: number): number {
    const record = this.#endpoints.get(endpoint)
    return record === undefined ? SEED_MS : latencyNow(record.latency, nowMs, decayMs)
  }

  /** When the endpoint came into the view, monotonic; -Infinity: it was always there. */
  joinedAtMs(endpoint: EndpointKey): number {
    return this.#endpoints.get(endpoint)?.joinedAtMs ?? -Infinity
  }

  /** The same set as long as nobody is ejected and nobody returns. */
  ejected(nowMs: number): ReadonlySet<EndpointKey> {
    if (nowMs >= this.#nextReturnMs) this.#findEjected(nowMs)
    return this.#ejected
  }

  /** Monotonic; undefined: it is not ejected. */
  ejectedUntilMs(endpoint: EndpointKey, nowMs: number): number | undefined {
    const record = this.#endpoints.get(endpoint)
    return record === undefined || isIn(record, nowMs) ? undefined : record.ejectedUntilMs
  }

  /**
   * Notes what is in the view: from now on slow start and the seed of a latency have their time. `old`: those that
   * were in the view before, and are not new.
   */
  meet(endpoints: Iterable<EndpointKey>, old: ReadonlySet<EndpointKey> | 'all', nowMs: number): void {
    for (const endpoint of endpoints) {
      if (this.#endpoints.has(endpoint)) continue
      this.#record(endpoint, nowMs).joinedAtMs = old === 'all' || old.has(endpoint) ? -Infinity : nowMs
    }
  }

  /** Forgets endpoints that are not in the view, each once its last connection has ended. */
  keepOnly(inView: ReadonlySet<EndpointKey>, nowMs: number): void {
    for (const [endpoint, record] of this.#endpoints) {
      record.leaving = !inView.has(endpoint)
      if (record.leaving && record.active === 0) this.#endpoints.delete(endpoint)
    }
    this.#findEjected(nowMs)
  }

  /** True if forgetting it all would lose nothing that is still counted. */
  get idle(): boolean {
    if (this.#open > 0) return false
    for (const record of this.#endpoints.values()) if (record.active > 0) return false
    return true
  }

  /** Endpoints that something is remembered of. */
  get size(): number {
    return this.#endpoints.size
  }

  /** What was learnt, for a successor; nothing that is open, because that stays here. */
  *learnt(): Iterable<readonly [EndpointKey, LearntRecord]> {
    yield* this.#endpoints
  }

  learn(endpoint: EndpointKey, learnt: LearntRecord, nowMs: number): void {
    Object.assign(this.#record(endpoint, nowMs), learnt)
    this.#findEjected(nowMs)
  }

  #record(endpoint: EndpointKey, nowMs: number): EndpointRecord {
    let record = this.#endpoints.get(endpoint)
    if (record === undefined) {
      record = newRecord(nowMs)
      this.#endpoints.set(endpoint, record)
    }
    return record
  }

  #minusOne(endpoint: EndpointKey, record: EndpointRecord): void {
    record.active = Math.max(0, record.active - 1)
    if (record.leaving && record.active === 0) this.#endpoints.delete(endpoint)
  }

  #findEjected(nowMs: number): void {
    const out = new Set<EndpointKey>()
    this.#nextReturnMs = Infinity
    for (const [endpoint, record] of this.#endpoints) {
      if (isIn(record, nowMs)) continue
      out.add(endpoint)
      this.#nextReturnMs = Math.min(this.#nextReturnMs, record.ejectedUntilMs)
    }
    if (out.size > 0 || this.#ejected.size > 0) this.#ejected = out
  }
}

/** What an endpoint's record holds beyond what is open now. */
export interface LearntRecord extends OutlierRecord {
  readonly latency: Latency
  readonly joinedAtMs: number
}

interface EndpointRecord {
  active: number
  failures: number
  ejections: number
  ejectedUntilMs: number
  latency: Latency
  joinedAtMs: number
  /** No longer in the view; forgotten when nothing is open. */
  leaving: boolean
}

function newRecord(nowMs: number): EndpointRecord {
  return {
    active: 0,
    failures: 0,
    ejections: 0,
    ejectedUntilMs: -Infinity,
    latency: { estimateMs: SEED_MS, atMs: nowMs },
    joinedAtMs: -Infinity,
    leaving: false,
  }
}
