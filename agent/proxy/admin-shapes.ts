// What the proxy's admin socket answers, as types: the contract with the CLI. Plain JSON.

import type { ClientKind } from './decision/client-kind.ts'
import type { DrainingProxy } from './handover/draining-proxies.ts'

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
  readonly workers: readonly WorkerStatus[]
  /** Processes that handed over to this one, or to one before it, and still have connections; longest ago first. */
  readonly predecessors: readonly DrainingProxy[]
}

export interface WorkerStatus {
  readonly number: number
  /** `stalled`: it does not go round, and another accepts for it. `lost`: its thread ended and cannot be replaced yet. */
  readonly state: 'healthy' | 'stalled' | 'lost'
  readonly relay: 'native' | 'stream'
  readonly connections: number
  readonly accepted: number
  /** Pipes in use and in its pool. */
  readonly pipes: number
  /** Bytes spliced and copied, and what it ran short of. */
  readonly counters: Readonly<Record<string, number>>
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
  /** Which one's engine has it. */
  readonly worker: number
  /** `ip:port`: whose connection it is. */
  readonly client: string
  /** `ip:port` of who connected, where its PROXY header named another client; null: the client itself. */
  readonly peer: string | null
  /** `unknown`: the kernel did not know. */
  readonly originalDestination: string
  readonly clientKind: ClientKind | null
  /** Key of the Service port; null: none was found. */
  readonly service: string | null
  /** Key of the frontend in the view. */
  readonly frontend: string | null
  /** `namespace/name` of the TLSRoute that chose the Service port, and the server name that it was chosen by. */
  readonly tlsRoute: string | null
  readonly serverName: string | null
  /** `ip:port` of the endpoint that has it; null: none (yet). */
  readonly endpoint: string | null
  readonly decidedBy: {
    readonly epoch: string
    readonly generation: number
    readonly why: readonly string[]
  } | null
  readonly attempts: readonly AttemptRecord[]
  /** `accepted`, `peeking`, `connecting`, `waiting`, `relaying`, `answering`, `refusing`, or `ended`. */
  readonly state: string
  /** `closed`, `reset-by-client`, `refused: no-frontend`, `deadline`, `worker-lost`, ...; null: it lives. */
  readonly ended: string | null
  readonly fromClientBytes: number
  readonly fromEndpointBytes: number
  /** Milliseconds since 1970. */
  readonly sinceMs: number
  /** Until now, or until it ended. */
  readonly durationMs: number
  /** Of each leg when it ended; null: it lives, there was none, or the engine cannot tell. */
  readonly tcp: { readonly client: LegRecord | null; readonly endpoint: LegRecord | null }
}

/** What TCP_INFO said. */
export interface LegRecord {
  readonly rttUs: number
  readonly rttVarianceUs: number
  readonly retransmits: number
  readonly lost: number
}

export interface AttemptRecord {
  /** `ip:port`. */
  readonly endpoint: string
  /** `connecting`, `connected`, `cancelled`, or the name of the errno. */
  readonly result: string
  readonly durationMs: number
}
