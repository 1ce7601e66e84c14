// From the endpoints that the view names to those that a connection may get, step by step. Each step is kept until what
// it was made from is another object:
//
//   view ──▶ of one family, no loop, with weight ──▶ not ejected (or panic) ──▶ weights of slow start
//               weighted · spare                          usable                     warmed

import type { ConnectionPolicy, OutlierPolicy } from '../../model/connection-policy.ts'
import { familyOf, type Family } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import type { MaglevLookup } from './balance/maglev.ts'
import type { Rotation } from './balance/rotation.ts'
import { warm, WARM_STEPS } from './balance/slow-start.ts'
import type { LocalAddresses } from './client-kind.ts'
import { endpointKey, type EndpointKey } from './endpoint-key.ts'
import { mayLoop, wouldLoop } from './loop.ts'
import { isPanic } from './outlier.ts'
import { Pool, type Candidate } from './pool.ts'
import type { ServiceTraffic } from './service-traffic.ts'
import type { ProxyView, ViewEndpoint } from './view.ts'

export interface Surroundings {
  readonly view: ProxyView
  /** See Traffic.edition. */
  readonly edition: number
  readonly local: LocalAddresses
  readonly listenerPort: Port
}

const EMPTY = new Pool([])

export class PoolState {
  /** Endpoints that balance; changes only when the view (or what would loop) does. */
  weighted = EMPTY
  /** Those of weight 0, for when there is no other. */
  spare = EMPTY
  /** Where a balancer that goes round is. */
  rotation: Rotation | undefined
  /** What a balancer by source address looks up. */
  lookup: MaglevLookup | undefined
  readonly #family: Family
  /** Never the view itself: a pool that nobody uses any more would keep an old one in memory. */
  #from: { readonly source: readonly ViewEndpoint[]; readonly edition: number } | undefined
  #all: readonly Candidate[] = []
  /** Those of all that lead back here if their address is the node's, which may change at any time. */
  #suspects: readonly Candidate[] = []
  #looping: readonly Candidate[] = []
  #usable: Usable | undefined
  #warmed: { readonly from: Pool; readonly pool: Pool; readonly untilMs: number } | undefined

  constructor(family: Family) {
    this.#family = family
  }

  /** Takes in what the view says now. Returns how many endpoints of the family it names, loops among them. */
  read(source: readonly ViewEndpoint[], around: Surroundings): number {
    const { view, edition } = around
    const old = this.#from
    if (source !== old?.source || edition !== old.edition) {
      this.#from = { source, edition }
      this.#all = this.#candidates(source)
      this.#suspects = this.#all.filter((each) => mayLoop(each, view, around.listenerPort))
      this.#looping = this.#loops(around)
      this.#split()
    } else if (this.#suspects.length > 0) {
      const looping = this.#loops(around)
      if (looping.length !== this.#looping.length || looping.some((each, i) => each !== this.#looping[i])) {
        this.#looping = looping
        this.#split()
      }
    }
    return this.#all.length
  }

  /** Without the ejected, unless too few were left. */
  usable(ejected: ReadonlySet<EndpointKey>, policy: OutlierPolicy | undefined): Usable {
    const old = this.#usable
    if (old?.from === this.weighted && old.ejected === ejected && old.policy === policy) return old
    return (this.#usable = this.#findUsable(ejected, policy))
  }

  /** With the weights that endpoints have so soon after they came. */
  warmed(pool: Pool, traffic: ServiceTraffic, policy: ConnectionPolicy, nowMs: number): Pool {
    const { slowStart } = policy.balancer
    if (slowStart.windowMs <= 0) return pool
    const old = this.#warmed
    if (old?.from === pool && nowMs < old.untilMs) return old.pool
    const warmed = warm(pool, (key) => traffic.joinedAtMs(key), slowStart, nowMs)
    this.#warmed = { from: pool, pool: warmed, untilMs: nowMs + slowStart.windowMs / WARM_STEPS }
    return warmed
  }

  #candidates(source: readonly ViewEndpoint[]): readonly Candidate[] {
    const known = new Map(this.#all.map((each) => [each.key, each]))
    const seen = new Set<EndpointKey>()
    const candidates: Candidate[] = []
    for (const endpoint of source) {
      const key = endpointKey(endpoint)
      if (familyOf(endpoint.ip) !== this.#family || seen.has(key)) continue
      seen.add(key)
      const old = known.get(key)
      const same = old !== undefined && old.local === endpoint.local && old.weight === endpoint.weight
      candidates.push(same ? old : { ...endpoint, key })
    }
    return candidates
  }

  #loops({ view, local, listenerPort }: Surroundings): readonly Candidate[] {
    return this.#suspects.filter((each) => wouldLoop(each, view, local, listenerPort))
  }

  #split(): void {
    const looping = new Set(this.#looping)
    const good = this.#all.filter((each) => !looping.has(each))
    const balanced = good.filter((each) => weightOf(each) > 0)
    const spare = good.filter((each) => weightOf(each) <= 0)
    // Without any weight all are alike, and nobody is a spare one.
    const [weighted, rest] = balanced.length > 0 ? [balanced, spare] : [spare, []]
    const weights = Float64Array.from(weighted, (each) => weightOf(each) || 1)
    // The same endpoints as before: what balancers derived from the pool still holds.
    if (!isSame(this.weighted, weighted)) this.weighted = new Pool(weighted, weights)
    this.spare = rest.length === 0 ? EMPTY : new Pool(rest)
    this.#usable = undefined
  }

  #findUsable(ejected: ReadonlySet<EndpointKey>, policy: OutlierPolicy | undefined): Usable {
    const from = this.weighted
    const kind = { from, ejected, policy }
    const out = policy === undefined ? 0 : from.count(ejected)
    if (policy === undefined || out === 0) return { ...kind, whole: from, pool: from, panic: false, out: 0 }
    const size = from.members.length
    if (isPanic(size, size - out, policy)) return { ...kind, whole: from, pool: from, panic: true, out }
    if (out < size) return { ...kind, whole: from, pool: from.without(ejected), panic: false, out }
    return { ...kind, whole: this.spare, pool: this.spare.without(ejected), panic: false, out }
  }
}

export interface Usable {
  readonly from: Pool
  /** What the pool was taken out of: all that balance, or the spare ones. */
  readonly whole: Pool
  readonly ejected: ReadonlySet<EndpointKey>
  readonly policy: OutlierPolicy | undefined
  readonly pool: Pool
  /** Ejections are ignored, because too few endpoints were left. */
  readonly panic: boolean
  /** Members that are ejected. */
  readonly out: number
}

/** A weight from a hostile view may be anything. */
function weightOf({ weight = 1 }: ViewEndpoint): number {
  return Number.isFinite(weight) ? Math.max(0, weight) : 0
}

function isSame(pool: Pool, members: readonly Candidate[]): boolean {
  return pool.members.length === members.length && pool.members.every((each, i) => each === members[i])
}
