// Everything about a proxy process that can be chosen. The command line maps its configuration to this.

import type { Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'

export interface ProxyOptions {
  readonly paths: ProxyPaths
  readonly version: string
  readonly port: Port
  /** 0: it stays the user that it is. */
  readonly uid: number
  readonly gid: number
  /** undefined: metrics are served on the admin socket only. */
  readonly metricsAddress: { readonly ip: Ip; readonly port: Port } | undefined
  /** Where the access log goes; undefined: there is none. */
  readonly accessLog?: LinesPlace
  /** So many endpoints have metrics of their own at most; default 0. */
  readonly endpointMetrics?: number
  /** 0: as many as the descriptors allow. */
  readonly maxConnections: number
  /** Engines, each with a listener of its own; 0, the default: one for each CPU. */
  readonly workers?: number
  /** What relays; `auto` (the default) takes the stream engine where the native one does not start. */
  readonly relay?: RelayChoice
  /** Another proxy runs in this folder: `auto` (the default) takes over from it, `never` refuses to start. */
  readonly handover?: 'auto' | 'never'
  /** How long a proxy that handed over keeps its connections; default 10 min; 0: as long as they last. */
  readonly handoverDrainMs?: number
  /** How long a stopping proxy waits for its connections to end before it resets them; default 30 s. */
  readonly drainMs?: number
}

export type LinesPlace =
  | { readonly kind: 'stdout' | 'stderr' }
  | { readonly kind: 'file'; readonly path: string }

export type RelayChoice = 'auto' | 'native' | 'stream'

/** Of one run folder; the configuration's Paths fit. */
export interface ProxyPaths {
  readonly runDir: string
  /** Admin socket. */
  readonly proxySocket: string
  /** Where a successor asks for the sockets. */
  readonly handoverSocket: string
  /** The agent's control channel. */
  readonly viewSocket: string
  readonly stateDir: string
  readonly lastView: string
  /** Pinned BPF objects. */
  readonly pinDir: string
  /** The pin folder is a bpf file system of our own to mount. */
  readonly ownPinMount: boolean
}

export const DEFAULT_DRAIN_MS = 30_000
export const DEFAULT_HANDOVER_DRAIN_MS = 600_000
