// Everything about a proxy process that can be chosen. The command line maps its configuration to this.

import type { Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'
import type { PumpLimits } from './pump/pump.ts'

export interface ProxyOptions {
  readonly paths: ProxyPaths
  readonly version: string
  readonly port: Port
  /** 0: it stays the user that it is. */
  readonly uid: number
  readonly gid: number
  /** undefined: metrics are served on the admin socket only. */
  readonly metricsAddress: { readonly ip: Ip; readonly port: Port } | undefined
  /** 0: as many as the descriptors allow. */
  readonly maxConnections: number
  /** Engines, each with a listener of its own; 0: one for each CPU. */
  readonly workers?: number
  /** What relays; `auto` (the default) takes the stream engine where the native one does not start. */
  readonly relay?: 'auto' | 'native' | 'stream'
  /** Default: DEFAULT_CONNECT_TIMEOUTS. */
  readonly timeouts?: ConnectTimeouts
  /** Default: DEFAULT_PUMP_LIMITS. */
  readonly limits?: PumpLimits
  /** How long a stopping proxy waits for its connections to end before it resets them; default 30 s. */
  readonly drainMs?: number
}

export interface ConnectTimeouts {
  readonly connectTimeoutMs: number
  readonly deadlineMs: number
}

/**
 * An attempt outlives the first repetition of a lost SYN, which Linux sends after 1 s; the deadline is what impatient
 * clients wait for a connection.
 */
export const DEFAULT_CONNECT_TIMEOUTS: ConnectTimeouts = { connectTimeoutMs: 2_000, deadlineMs: 10_000 }

/** Of one run folder; the configuration's Paths fit. */
export interface ProxyPaths {
  readonly runDir: string
  /** Admin socket. */
  readonly proxySocket: string
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
