// One accepted connection, as JavaScript knows it. Small: tens of thousands of them may be idle. The bytes are the
// engine's, and the view that a decision was made from is not kept, since one connection would keep a whole old view.

import type { ConnectDecision, Decision, Peeked, PeekDecision, TrueClient } from './decision/decision.ts'
import type { Candidate } from './decision/pool.ts'
import type { RetryProgress } from './decision/retry.ts'
import type { ServiceTraffic } from './decision/service-traffic.ts'
import type { ConnectionId, LegInfo, RelayedBytes, SocketAddress } from './engine/engine.ts'
import type { ServiceMeters } from './service-meters.ts'
import type { Worker } from './worker.ts'

export type ConnectionState =
  /** Nothing was decided yet. */
  | { readonly kind: 'accepted' }
  /** Its first bytes decide. */
  | {
      readonly kind: 'peeking'
      readonly decision: PeekDecision
      readonly deadlineAtMs: number
      /** What the engine was told to wait for. */
      readonly atLeastBytes: number
    }
  /** The engine tries the candidates of the decision, in order. */
  | Connecting
  /** No candidate took it; `cancel` ends the wait for the next round. */
  | { readonly kind: 'waiting'; readonly cancel: () => void }
  | { readonly kind: 'relaying' }
  /** A self-test, whose socket the engine hands over. */
  | { readonly kind: 'answering' }
  /** The engine resets it; `because` is what its record will say. */
  | { readonly kind: 'refusing'; readonly because: string }
  | ConnectionEnd

export interface Connecting {
  readonly kind: 'connecting'
  readonly decision: ConnectDecision
  readonly progress: RetryProgress
  readonly peeked: Peeked | undefined
  /** Of all attempts, monotonic. */
  readonly deadlineAtMs: number
  /** Index of the candidate that is tried now; as many as there are: none. */
  trying: number
}

export interface ConnectionEnd {
  readonly kind: 'ended'
  /** `closed`, `refused: no-frontend`, ... */
  readonly because: string
  readonly bytes: RelayedBytes
  readonly durationUs: number
  readonly client: LegInfo | undefined
  readonly endpoint: LegInfo | undefined
}

export interface Attempt {
  readonly endpoint: Candidate
  /** `connected`, `cancelled`, or the name of the errno. */
  readonly result: string
  readonly durationUs: number
}

export class Connection {
  /** Of this process, in the order of accept. */
  readonly number: number
  readonly worker: Worker
  /** Of the worker's engine. */
  readonly id: ConnectionId
  /** Who connected. */
  readonly peer: SocketAddress
  /** undefined: the kernel does not know it. */
  readonly destination: SocketAddress | undefined
  /** Monotonic. */
  readonly startMs: number
  state: ConnectionState = ACCEPTED
  /** Whose connection it is: the peer's own, unless a PROXY header told otherwise. */
  client: TrueClient
  /** The last one, and the view that it was made from. */
  decision: Decision | undefined
  epoch = ''
  generation = 0
  /** Over all rounds. */
  attempts: readonly Attempt[] = NO_ATTEMPTS
  /** Who took it. */
  endpoint: Candidate | undefined
  /** Where it counts until it ends. */
  traffic: ServiceTraffic | undefined
  meters: ServiceMeters | undefined

  constructor(
    number: number,
    worker: Worker,
    id: ConnectionId,
    addresses: { readonly client: SocketAddress; readonly destination: SocketAddress | undefined },
    startMs: number,
  ) {
    this.number = number
    this.worker = worker
    this.id = id
    this.peer = addresses.client
    this.client = addresses.client
    this.destination = addresses.destination
    this.startMs = startMs
  }
}

const ACCEPTED: ConnectionState = { kind: 'accepted' }
const NO_ATTEMPTS: readonly Attempt[] = []
