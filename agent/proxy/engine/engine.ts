// What accepts, connects and relays, and knows no policy: the native engine (one per worker, on a thread of its own), or
// the stream engine, which does the same with Node's sockets. It tells what was accepted, does what the verdict says,
// and tells once how the connection ended. Everything in here is bytes, addresses and times.
//
//   accepted ──verdict──▶ connect ──▶ connected ──▶ relaying ──▶ ended
//       │ ▲                 │  └─ exhausted ──verdict──▶ connect again, or refuse
//       │ └── readable ◀── peek
//       └──▶ refuse ──▶ ended          handOver ──▶ handedOver (the socket is the caller's; nothing more comes)

import type { Socket } from 'node:net'
import type { RelayTimeouts } from '../../model/connection-policy.ts'
import type { Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import type { Fd } from '../../kernel/native-types.ts'

/** Of one engine; not used again for a long time after the connection ended. */
export type ConnectionId = number

export interface SocketAddress {
  readonly ip: Ip
  readonly port: Port
}

export interface Engine {
  /** Starts to accept on a listening socket, which stays the caller's and must stay open until `removeListener`. */
  addListener(fd: Fd): void
  /** Accepts no more from it; what was accepted lives on. Resolves when no accept can happen any more. */
  removeListener(fd: Fd): Promise<void>
  /**
   * The answer to `accepted`, `readable` and `exhausted`, exactly one for each, at any later time. An answer for a
   * connection that has ended is late news and ignored.
   */
  decide(connection: ConnectionId, verdict: Verdict): void
  /** After `readable`: the first bytes, left where they are; at most so many, and none behind an urgent byte. */
  peek(connection: ConnectionId, maxBytes: number): Uint8Array
  /** Resets both sides; `ended` comes with `aborted`. Late news is ignored. */
  abort(connection: ConnectionId): void
  /** Payload so far, while it is relayed. */
  bytes(connection: ConnectionId): RelayedBytes
  /**
   * Relays between two connected sockets that somebody else opened and owned until now, after writing `toEndpoint` and
   * `toClient` (what was read from the other already). `ended` comes for the id that is returned.
   */
  adopt(
    client: Fd,
    endpoint: Fd,
    limits: RelayTimeouts,
    first?: { toEndpoint?: Uint8Array; toClient?: Uint8Array },
  ): ConnectionId
  /** When it last went round, monotonic: an engine that is stuck stops going round. */
  lastTurnMs(): number
  /** Why it will never go round again although nobody closed it; undefined, or no such method: it goes on. */
  failure?(): string | undefined
  status(): EngineStatus
  /** Resets everything, tells nothing more, joins its thread. */
  close(): void
}

export type EngineKind = 'native' | 'stream'

export interface EngineStatus {
  readonly kind: EngineKind
  readonly connections: number
  /** Pipe pairs in use and in the pool. */
  readonly pipes: number
  /** Of the counters below since the start. */
  readonly counters: Readonly<Record<EngineCounter, number>>
}

export type EngineCounter =
  /** Bytes moved by splice, and by recv and send. */
  | 'spliced_bytes'
  | 'copied_bytes'
  /** Directions that wanted a pipe and went on copying, because none could be made. */
  | 'pipe_shortages'
  /** accept or socket failed for lack of descriptors or memory. */
  | 'descriptor_shortages'
  | 'memory_shortages'
  /** No source port was left for an endpoint (EADDRNOTAVAIL). */
  | 'port_shortages'

export type Verdict =
  | ConnectVerdict
  /** Says `readable` as soon as so many bytes wait, or all that will come, or the time is over. */
  | { readonly kind: 'peek'; readonly atLeastBytes: number; readonly timeoutMs: number }
  /** The socket becomes the caller's, as it is. */
  | { readonly kind: 'handOver' }
  | { readonly kind: 'refuse' }

export interface ConnectVerdict {
  readonly kind: 'connect'
  /** One to MAX_CANDIDATES, tried in order. */
  readonly candidates: readonly SocketAddress[]
  /** SO_MARK of the connection to the endpoint. */
  readonly mark: number
  /** For each but the last, which has until the deadline. */
  readonly attemptTimeoutMs: number
  /** From now, for all of them. */
  readonly deadlineMs: number
  /** Bytes of the client that are thrown away first (a PROXY header that was read). */
  readonly skipBytes: number
  /** What the endpoint hears first, at most MAX_PREFIX_BYTES. */
  readonly prefix?: Uint8Array
  readonly limits: RelayTimeouts
}

export const MAX_CANDIDATES = 6
export const MAX_PREFIX_BYTES = 72

/**
 * Called in the order in which things happened to a connection, on the thread that made the engine, and never from
 * within a call of the engine's.
 */
export interface EngineEvents {
  /** `destination` undefined: the kernel does not know it (any more). */
  accepted(connection: ConnectionId, client: SocketAddress, destination: SocketAddress | undefined): void
  /** `waiting`: bytes to peek; `over`: fewer than wanted came before the time or the stream was over. */
  readable(connection: ConnectionId, waiting: number, over: boolean): void
  /** One candidate, by index, did not work; `code` is the errno's name. */
  attemptFailed(connection: ConnectionId, index: number, code: string, durationUs: number): void
  connected(connection: ConnectionId, index: number, durationUs: number): void
  /** None of the candidates worked, or the deadline passed. The client still waits. */
  exhausted(connection: ConnectionId): void
  /** Paused, with half-open connections allowed. A stream engine could not give a descriptor: Node lets none go. */
  handedOver(connection: ConnectionId, socket: Socket): void
  /** Once and last, for every connection that was not handed over. */
  ended(connection: ConnectionId, end: RelayEnd): void
  /**
   * accept failed so many times; connections wait in the queue until it works again. ENOSPC: the engine had no room, and
   * so many connections were reset.
   */
  acceptFailed(code: string, times: number): void
}

export type RelayOutcome =
  /** Both sides closed in order. */
  | 'closed'
  | 'reset-by-client'
  | 'reset-by-endpoint'
  | 'idle'
  | 'idle-half-closed'
  | 'silent'
  | 'lifetime'
  /** abort(). */
  | 'aborted'
  /** A refuse verdict. */
  | 'refused'
  /** The client reset before an endpoint was connected. */
  | 'client-gone'

export interface RelayEnd {
  readonly outcome: RelayOutcome
  readonly bytes: RelayedBytes
  /** Accept to end. */
  readonly durationUs: number
  /** TCP_INFO at the end; undefined: there was no such leg, or the engine cannot tell (Node's sockets do not). */
  readonly client: LegInfo | undefined
  readonly endpoint: LegInfo | undefined
}

export interface RelayedBytes {
  readonly fromClient: number
  readonly fromEndpoint: number
}

export interface LegInfo {
  readonly rttUs: number
  readonly rttVarianceUs: number
  readonly retransmits: number
  readonly lost: number
}
