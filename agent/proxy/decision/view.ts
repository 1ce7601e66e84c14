// Everything the proxy needs to decide, as plain JSON: it crosses a socket, lies on disk, and is swapped whole.

import type { Cidr } from '../../model/cidr.ts'
import type { ConnectionPolicy } from '../../model/connection-policy.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import type { Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'

/** Raised when a proxy of the other version could misread a view; both sides refuse a different one. */
export const VIEW_VERSION = 2

export interface ProxyView {
  readonly version: typeof VIEW_VERSION
  /** Identity of the agent process that made it; generations of different epochs do not compare. */
  readonly epoch: string
  readonly generation: number
  readonly node: ViewNode
  /** By `ip|port`, or `node|port` for a NodePort on any of the node's addresses. TCP only. */
  readonly frontends: Readonly<Record<string, ViewFrontend>>
  readonly services: Readonly<Record<ServicePortKey, ViewService>>
}

export interface ViewNode {
  readonly name: string
  /** Ranges whose members are Pods by the local detector; empty: no detector. */
  readonly podCidrs: readonly Cidr[]
  /** A connection to one of these that no other frontend has may be a NodePort's. */
  readonly addresses: readonly Ip[]
}

export interface ViewFrontend {
  readonly service: ServicePortKey
  readonly kind: 'ClusterIP' | 'ExternalIP' | 'LoadBalancerIP' | 'NodePort'
  /** The pool for each kind of client (see Verdicts in the plan). */
  readonly pool: { readonly pod: PoolName; readonly host: PoolName; readonly outside: PoolName }
}

export type PoolName = 'cluster' | 'local'

export interface ViewService {
  readonly key: ServicePortKey
  readonly cluster: readonly ViewEndpoint[]
  readonly local: readonly ViewEndpoint[]
  /** ClientIP affinity on the true client address; undefined: none. */
  readonly affinitySeconds?: number
  /** undefined: DEFAULT_CONNECTION_POLICY. */
  readonly policy?: ConnectionPolicy
  /** Routes by TLS server name, the most specific host name first; undefined: none, the first bytes are not looked at. */
  readonly tlsRoutes?: readonly ViewTlsRoute[]
}

export interface ViewTlsRoute {
  /** `namespace/name` of the TLSRoute, for the decision record. */
  readonly route: string
  /** Lower case; `*.` in front for any one or more labels; '' for every name and for none. */
  readonly hostname: string
  /** Shares by weight. Empty, or weights all 0: refused. */
  readonly backends: readonly ViewTlsBackend[]
}

export interface ViewTlsBackend {
  /**
   * An entry of ProxyView.services, also if it has no frontend there. null: the reference is not valid (no such Service,
   * or no ReferenceGrant), and its share of the connections is refused.
   */
  readonly service: ServicePortKey | null
  /** Which of its pools: the backend's own internalTrafficPolicy, whoever the client is. */
  readonly pool: PoolName
  readonly weight: number
}

export interface ViewEndpoint {
  readonly ip: Ip
  readonly port: Port
  readonly local: boolean
  /** 0: only if there is no other; undefined: 1. */
  readonly weight?: number
}

/** From one generation to the next of the same epoch. */
export interface ViewDelta {
  readonly version: typeof VIEW_VERSION
  readonly epoch: string
  readonly from: number
  readonly to: number
  readonly node?: ViewNode
  readonly frontends: Readonly<Record<string, ViewFrontend | null>>
  readonly services: Readonly<Record<ServicePortKey, ViewService | null>>
}

/** Agent to proxy, one JSON document a line. */
export type AgentMessage =
  | { readonly kind: 'snapshot'; readonly view: ProxyView }
  | { readonly kind: 'delta'; readonly delta: ViewDelta }

/** Proxy to agent, one JSON document a line. */
export type ProxyMessage =
  | {
      readonly kind: 'hello'
      readonly version: typeof VIEW_VERSION
      readonly pid: number
      /** What it serves now, so that the agent may send a delta; null: nothing. */
      readonly have: { readonly epoch: string; readonly generation: number } | null
      /** Listeners are in the BPF socket map. */
      readonly skLookup: boolean
    }
  | { readonly kind: 'ack'; readonly generation: number }
  /** It could not apply what it got; the agent answers with a snapshot. */
  | { readonly kind: 'resync'; readonly because: string }
