// Moves bytes between two of Node's sockets and knows nothing of policy. Both must allow half-open connections. A
// direction reads only while its sink takes, passes an end only behind the last byte, and passes a reset as a reset.

import type { Socket } from 'node:net'
import type { Clock } from '../../model/clock.ts'
import type { RelayTimeouts } from '../../model/connection-policy.ts'
import { resetSocket } from '../reset.ts'
import type { Side } from './connection-state.ts'
import type { RelayedBytes, RelayOutcome } from './engine.ts'

export interface RelayStart {
  readonly limits: RelayTimeouts
  /** Of the client, thrown away first. */
  readonly skipBytes: number
  /** What each side hears before the other's bytes. */
  readonly toEndpoint?: Uint8Array | undefined
  readonly toClient?: Uint8Array | undefined
}

export interface RelayEvents {
  /** This side will send no more; what it sent has been read. */
  sideClosed(by: Side): void
  /** Once and last; both sockets are closed. */
  ended(outcome: RelayOutcome): void
}

/** Takes both sockets over: whatever happens, it closes them. */
export class StreamRelay {
  readonly #sockets: Readonly<Record<Side, Socket>>
  readonly #limits: RelayTimeouts
  readonly #events: RelayEvents
  readonly #clock: Clock
  readonly #bytes = { client: 0, endpoint: 0 }
  readonly #skip: Record<Side, number>
  readonly #sentAll = { client: false, endpoint: false }
  readonly #startMs: number
  #open = 2
  #outcome: RelayOutcome | undefined
  #lastByteAtMs: number
  #cancelTimer: () => void

  constructor(client: Socket, endpoint: Socket, start: RelayStart, events: RelayEvents, clock: Clock) {
    this.#sockets = { client, endpoint }
    this.#limits = start.limits
    this.#skip = { client: start.skipBytes, endpoint: 0 }
    this.#events = events
    this.#clock = clock
    this.#startMs = this.#lastByteAtMs = clock.monotonicMs()
    this.#cancelTimer = this.#checkLater()
    if (start.toEndpoint !== undefined) endpoint.write(start.toEndpoint)
    if (start.toClient !== undefined) client.write(start.toClient)
    this.#join('client', 'endpoint')
    this.#join('endpoint', 'client')
  }

  /** Payload so far: what was read, without what was thrown away. */
  bytes(): RelayedBytes {
    return { fromClient: this.#bytes.client, fromEndpoint: this.#bytes.endpoint }
  }

  /** Resets both sides; `ended` hears `aborted`. Nothing if it ended already. */
  abort(): void {
    this.#reset('aborted')
  }

  /** One direction: from `side` to `other`, and what happens to the socket of `side`. */
  #join(side: Side, other: Side): void {
    const source = this.#sockets[side]
    const sink = this.#sockets[other]
    source.on('data', (chunk: Buffer) => {
      this.#lastByteAtMs = this.#clock.monotonicMs()
      const payload = this.#withoutSkipped(side, chunk)
      this.#bytes[side] += payload.length
      if (payload.length > 0 && !sink.write(payload)) source.pause()
    })
    sink.on('drain', () => {
      // Bytes that were taken are a sign of life, too.
      this.#lastByteAtMs = this.#clock.monotonicMs()
      source.resume()
    })
    source.once('end', () => this.#sourceEnded(side, other))
    // A side that closed without a byte while the other was being reached has told so before anybody listened.
    if (source.readableEnded) queueMicrotask(() => this.#sourceEnded(side, other))
    // A write to a peer that went away fails like a read from it: the peer reset the connection.
    source.on('error', () => this.#reset(resetBy(side)))
    source.once('close', () => {
      this.#open--
      // Closed before it had sent all, and without an error: somebody destroyed it. The other side must not wait.
      if (!this.#sentAll[side]) this.#reset(resetBy(side))
      if (this.#open === 0) this.#finish()
    })
    source.resume()
  }

  #withoutSkipped(side: Side, chunk: Buffer): Buffer {
    if (this.#skip[side] === 0) return chunk
    const skipped = Math.min(this.#skip[side], chunk.length)
    this.#skip[side] -= skipped
    return chunk.subarray(skipped)
  }

  #sourceEnded(side: Side, other: Side): void {
    this.#sentAll[side] = true
    this.#lastByteAtMs = this.#clock.monotonicMs()
    this.#sockets[other].end()
    this.#events.sideClosed(side)
    this.#rearm()
  }

  #reset(outcome: RelayOutcome): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    resetSocket(this.#sockets.client)
    resetSocket(this.#sockets.endpoint)
  }

  #finish(): void {
    this.#cancelTimer()
    this.#outcome ??= 'closed'
    this.#events.ended(this.#outcome)
  }

  /** The limit that is reached first, as things are. */
  #nextLimit(): Limit {
    const { idleMs, halfClosedMs, silentMs, lifetimeMs } = this.#limits
    const halfClosed = this.#sentAll.client || this.#sentAll.endpoint
    const silent = this.#bytes.client === 0 && this.#bytes.endpoint === 0
    const limits: Limit[] = [
      halfClosed
        ? { atMs: this.#lastByteAtMs + halfClosedMs, outcome: 'idle-half-closed' }
        : { atMs: this.#lastByteAtMs + idleMs, outcome: 'idle' },
    ]
    if (silent) limits.push({ atMs: this.#startMs + silentMs, outcome: 'silent' })
    if (lifetimeMs > 0) limits.push({ atMs: this.#startMs + lifetimeMs, outcome: 'lifetime' })
    return limits.reduce((first, limit) => (limit.atMs < first.atMs ? limit : first))
  }

  /** The timer is not moved with every byte: when it fires, it looks how long the silence really was. */
  #checkLater(): () => void {
    const { atMs, outcome } = this.#nextLimit()
    const leftMs = atMs - this.#clock.monotonicMs()
    if (leftMs > 0)
      return this.#clock.after(
        Math.min(leftMs, LONGEST_TIMER_MS),
        () => (this.#cancelTimer = this.#checkLater()),
      )
    this.#reset(outcome)
    return () => {}
  }

  /** After a side closed a shorter limit holds than the one that the timer waits for. */
  #rearm(): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#checkLater()
  }
}

interface Limit {
  /** Monotonic. */
  readonly atMs: number
  readonly outcome: RelayOutcome
}

/** Node makes one millisecond of anything longer. */
const LONGEST_TIMER_MS = 0x7fff_ffff

function resetBy(side: Side): RelayOutcome {
  return side === 'client' ? 'reset-by-client' : 'reset-by-endpoint'
}
