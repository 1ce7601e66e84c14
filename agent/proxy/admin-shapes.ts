// What the proxy's admin socket answers, as types: the contract with the CLI. Plain JSON.

import type { ClientKind } from './decision/client-kind.ts'

/** GET /status */
export interface ProxyStatus {
  readonly pid: number
  readonly version: string
  /** `serving`: the heartbeat beats and new connections come. `waiting`: it does not beat, and says why. */
  readonly state: 'starting' | 'waiting' | 'serving' | 'draining'
  /** Why it does not serve, or serves less well, as sentences; empty: all is well. */
  readonly degraded: readonly string[]
  readonly startedAtMs: number
  readonly uid: number
  readonly view: {
    readonly epoch: string
    readonly generation: number
    readonly source: 'agent' | 'disk'
    readonly frontends: number
    readonly services: number
  } | null
  readonly agentConnected: boolean
  /** Its listeners are in the BPF socket map; without, only DNAT brings it connections. */
  readonly skLookup: boolean
  /** `ip:port` of each. */
  readonly listeners: readonly string[]
  readonly heartbeat: {
    readonly beating: boolean
    /** Why not, when not. */
    readonly because: string
    readonly beats: number
    readonly failures: number
    readonly lastBeatAtMs: number | null
  }
  readonly connections: {
    readonly open: number
    readonly max: number
    readonly accepted: number
    readonly refused: Readonly<Record<string, number>>
  }
  readonly affinityRecords: number
}

/** GET /connections */
export interface ProxyConnections {
  /** Oldest first, bounded. */
  readonly live: readonly ConnectionRecord[]
  /** How many more live; missing: none. */
  readonly liveOmitted?: number
  /** Newest first, bounded; self-tests are left out. */
  readonly ended: readonly ConnectionRecord[]
}

/** One connection and who decided what. */
export interface ConnectionRecord {
  readonly id: number
  /** `ip:port`. */
  readonly client: string
  readonly originalDestination: string
  readonly clientKind: ClientKind | null
  /** Key of the Service port; null: none was found. */
  readonly service: string | null
  /** Key of the frontend in the view. */
  readonly frontend: string | null
  /** `ip:port` of the endpoint that has it; null: none (yet). */
  readonly endpoint: string | null
  readonly decidedBy: {
    readonly epoch: string
    readonly generation: number
    readonly why: readonly string[]
  } | null
  readonly attempts: readonly AttemptRecord[]
  /** `accepted`, `connecting`, `relaying`, `halfClosed`, `closing`, or `ended`. */
  readonly state: string
  /** `closed`, `reset-by-client`, `refused: no-frontend`, `unreachable`, ...; null: it lives. */
  readonly ended: string | null
  readonly fromClientBytes: number
  readonly fromEndpointBytes: number
  /** Milliseconds since 1970. */
  readonly sinceMs: number
  /** Until now, or until it ended. */
  readonly durationMs: number
}

export interface AttemptRecord {
  /** `ip:port`. */
  readonly endpoint: string
  /** `connecting`, `connected`, or the name of the errno. */
  readonly result: string
  readonly durationMs: number
}
