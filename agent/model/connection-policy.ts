// How the proxy treats the connections of one Service port: what a TrafficPolicy (shunt.dev/v1alpha1) says, with every
// default filled in. The decoder makes it, the plan attaches it, the view carries it, decisions read it. Plain JSON.

import type { Cidr } from './cidr.ts'

export interface ConnectionPolicy {
  readonly balancer: BalancerPolicy
  readonly connect: ConnectPolicy
  readonly timeouts: RelayTimeouts
  /** undefined: no endpoint is ever ejected. */
  readonly outlier?: OutlierPolicy
  readonly limits: LimitPolicy
  readonly proxyProtocol: ProxyProtocolPolicy
}

export type BalancerKind = 'Random' | 'RoundRobin' | 'LeastConnections' | 'PeakEWMA' | 'Maglev'

export interface BalancerPolicy {
  readonly kind: BalancerKind
  /** Weight of a new endpoint grows to its own over this time; 0: at once. Random, RoundRobin and LeastConnections. */
  readonly slowStart: {
    readonly windowMs: number
    readonly minWeightPercent: number
    readonly aggression: number
  }
  /** PeakEWMA: the time after which an old latency counts 1/e. */
  readonly decayMs: number
}

export interface ConnectPolicy {
  /** One attempt; the last possible one gets all the time that is left. */
  readonly attemptTimeoutMs: number
  /** All attempts and waits together. */
  readonly deadlineMs: number
  /** Full jitter between rounds over all candidates: uniform in [0, min(max, base * 2^round)). */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }
  /**
   * Retries of the Service in the last ten seconds may be this part of its connections, and always so many a second.
   * A retry is what comes after the first candidates of a connection (six at most) have all failed.
   */
  readonly retryBudget: { readonly percent: number; readonly minPerSecond: number }
}

/** What ends connections whose peers are alive and silent. */
export interface RelayTimeouts {
  /** No byte either way. */
  readonly idleMs: number
  /** No byte either way, after one side closed. */
  readonly halfClosedMs: number
  /** Not one byte since the start. */
  readonly silentMs: number
  /** However busy; 0: for ever. */
  readonly lifetimeMs: number
}

/** Ejection of endpoints that refuse connections (Envoy's consecutive local-origin failures). */
export interface OutlierPolicy {
  readonly consecutiveFailures: number
  /** Time of an ejection: base times how often in a row, at most max. */
  readonly baseEjectionMs: number
  readonly maxEjectionMs: number
  /** At most this part of a pool is ejected, but one endpoint always may be. */
  readonly maxEjectionPercent: number
  /** With fewer usable endpoints than this, ejections of the pool are ignored. */
  readonly panicPercent: number
}

export interface LimitPolicy {
  /** Open connections of the Service port on this node, over all workers, exact; undefined: none. */
  readonly maxConnections?: number
  /** Of these, what one client address may have at most; undefined: see fair. */
  readonly maxConnectionsPerClient?: number
  /**
   * With maxConnections: a client may always have its equal share (maxConnections by the clients that have a
   * connection or were refused one lately), and more only while at least a fifth of the room is free.
   */
  readonly fair: boolean
}

export interface ProxyProtocolPolicy {
  /** What an endpoint hears first. */
  readonly send: 'none' | 'v2'
  /** Sources whose PROXY header (v2) is read and believed; without a header they are refused. Empty: nobody's. */
  readonly acceptFrom: readonly Cidr[]
}

/**
 * Without a TrafficPolicy. The silence is what a connection survives without the proxy (kube-proxy row 71), so steering
 * shortens nobody's life.
 */
export const DEFAULT_CONNECTION_POLICY: ConnectionPolicy = {
  balancer: {
    kind: 'Random',
    slowStart: { windowMs: 0, minWeightPercent: 10, aggression: 1 },
    decayMs: 10_000,
  },
  connect: {
    attemptTimeoutMs: 2_000,
    deadlineMs: 10_000,
    backoff: { baseMs: 25, maxMs: 250 },
    retryBudget: { percent: 20, minPerSecond: 10 },
  },
  timeouts: { idleMs: 24 * 3_600_000, halfClosedMs: 3_600_000, silentMs: 2 * 3_600_000, lifetimeMs: 0 },
  limits: { fair: true },
  proxyProtocol: { send: 'none', acceptFrom: [] },
}

/** What an empty `outlierDetection` means: Envoy's numbers. */
export const DEFAULT_OUTLIER_POLICY: OutlierPolicy = {
  consecutiveFailures: 5,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 10,
  panicPercent: 50,
}
