// What can happen to a connection, and what of it is remembered. A decision is small and made of parts that exist
// anyway: tens of thousands of them live at once.

import type { ConnectionPolicy } from '../../model/connection-policy.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import type { Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import type { ClientKind } from './client-kind.ts'
import type { Candidate } from './pool.ts'
import type { PoolName, ViewFrontend } from './view.ts'

/** A connection that was accepted; `destination` is what the client dialled. */
export interface Flow {
  readonly client: { readonly ip: Ip; readonly port: Port }
  readonly destination: { readonly ip: Ip; readonly port: Port }
}

/** What the first bytes said, once somebody looked. */
export interface Peeked {
  /** A PROXY header; `client` undefined: the sender speaks for itself. */
  readonly proxy?: { readonly client: TrueClient | undefined; readonly headerBytes: number }
  /** Why there is no header where one was looked for. */
  readonly noProxyHeader?: string
  /** `other`: no ClientHello, or none in time. */
  readonly tls?:
    | { readonly kind: 'hello'; readonly serverName: string | undefined }
    | { readonly kind: 'other'; readonly because?: string }
}

/** The port of a header may be 0. */
export interface TrueClient {
  readonly ip: Ip
  readonly port: number
}

export type Decision = ConnectDecision | PeekDecision | { readonly kind: 'selftest' } | RefuseDecision

export interface ConnectDecision {
  readonly kind: 'connect'
  /** Whose endpoints these are: the frontend's Service port, or a backend of its TLSRoute. */
  readonly service: ServicePortKey
  /** Key of ProxyView.frontends. */
  readonly frontend: string
  readonly frontendKind: ViewFrontend['kind']
  readonly clientKind: ClientKind
  /** Whose connection it is: the source, or what the PROXY header of a trusted source says. */
  readonly client: TrueClient
  /** At least one, each once, in the order in which to try them. */
  readonly candidates: readonly Candidate[]
  /** After these every endpoint of this round was tried; see RetryProgress. */
  readonly roundComplete: boolean
  /** Of `service`. */
  readonly policy: ConnectionPolicy
  /** What to remember once an endpoint took the connection; undefined: the Service has no affinity. */
  readonly affinitySeconds: number | undefined
  /**
   * `kept`: the first candidate is the client's endpoint. `lost`: that one cannot be had now, so another is remembered
   * only after it took the connection. `none`: there is nothing to lose.
   */
  readonly sticky: 'kept' | 'lost' | 'none'
  /** `namespace/name` of the TLSRoute that named the Service port. */
  readonly tlsRoute: string | undefined
  /** What its ClientHello asked for, if that was looked at. */
  readonly serverName?: string
  /** Length of the PROXY header, which the endpoint does not get. */
  readonly skipBytes: number
  readonly pool: PoolName
  /** Endpoints of the pool in this family, and those of them that are ejected. */
  readonly poolSize: number
  readonly ejected: number
  /** Ejections are ignored, because too few endpoints were left. */
  readonly panic: boolean
}

/** Look at the first bytes and decide again with what they say; they stay where they are. */
export interface PeekDecision {
  readonly kind: 'peek'
  readonly service: ServicePortKey
  readonly wanted: { readonly proxyHeader: boolean; readonly tls: boolean }
  readonly timeoutMs: number
}

export interface RefuseDecision {
  readonly kind: 'refuse'
  readonly because: Refusal
  readonly how: 'reset'
  /** Whose connection it would have been: the frontend's, or the backend's of its TLSRoute. */
  readonly service?: ServicePortKey
  /** Key of ProxyView.frontends. */
  readonly frontend?: string
  readonly why: readonly string[]
}

export type Refusal =
  /** Nobody dials this address through the proxy: a spoofed mark, or a view that is older than the rules. */
  | 'no-frontend'
  /** The pool for this kind of client is empty. */
  | 'no-endpoints'
  /** Every endpoint is ejected, and the policy has no panic threshold. */
  | 'ejected'
  /** Every endpoint of the pool leads back to this proxy. */
  | 'loop'
  /** No TLSRoute of the Service is for this server name. */
  | 'no-route'
  /** The TLSRoute has no backend, none with weight, or one that does not exist. */
  | 'no-backend'
  /** A source that must send a PROXY header did not. */
  | 'no-proxy-header'
  /** Dialled the proxy's own port. */
  | 'direct'
  /** As many connections are open as the proxy may have. */
  | 'overload'
  /** As many are open as the policy of the Service allows, or as one client may have. */
  | 'limit'
  | 'client-limit'
  /** The proxy stops, and its time for late arrivals is over. */
  | 'draining'

export function refuse(because: Refusal, ...why: readonly string[]): RefuseDecision {
  return { kind: 'refuse', because, how: 'reset', why }
}
