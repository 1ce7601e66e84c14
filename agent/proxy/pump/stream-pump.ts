// The pump on Node's sockets. Both sockets must allow half-open connections. A direction reads only while its sink
// takes, passes an end only behind the last byte, and passes a reset as a reset.

import type { Socket } from 'node:net'
import type { Clock } from '../../model/clock.ts'
import { resetSocket } from '../reset.ts'
import type { PumpEnd, Side } from '../session-state.ts'
import type { Pump, PumpEvents, PumpLimits, Relay } from './pump.ts'

export function createStreamPump(clock: Clock): Pump<Socket> {
  return {
    start: (client, endpoint, limits, events) => new StreamRelay(client, endpoint, limits, events, clock),
  }
}

class StreamRelay implements Relay {
  readonly #sockets: Readonly<Record<Side, Socket>>
  readonly #limits: PumpLimits
  readonly #events: PumpEvents
  readonly #clock: Clock
  readonly #bytes = { client: 0, endpoint: 0 }
  readonly #sentAll = { client: false, endpoint: false }
  #open = 2
  #end: PumpEnd | undefined
  #lastByteAtMs: number
  #cancelTimer: () => void

  constructor(client: Socket, endpoint: Socket, limits: PumpLimits, events: PumpEvents, clock: Clock) {
    this.#sockets = { client, endpoint }
    this.#limits = limits
    this.#events = events
    this.#clock = clock
    this.#lastByteAtMs = clock.monotonicMs()
    this.#cancelTimer = clock.after(this.#quiet().limitMs, () => this.#checkSilence())
    this.#join('client', 'endpoint')
    this.#join('endpoint', 'client')
  }

  bytes(): { readonly fromClient: number; readonly fromEndpoint: number } {
    return { fromClient: this.#bytes.client, fromEndpoint: this.#bytes.endpoint }
  }

  abort(): void {
    this.#reset('aborted')
  }

  /** One direction: from `side` to `other`, and what happens to the socket of `side`. */
  #join(side: Side, other: Side): void {
    const source = this.#sockets[side]
    const sink = this.#sockets[other]
    source.on('data', (chunk: Buffer) => {
      this.#bytes[side] += chunk.length
      this.#lastByteAtMs = this.#clock.monotonicMs()
      if (!sink.write(chunk)) source.pause()
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
    source.on('error', () => this.#reset(side === 'client' ? 'reset-by-client' : 'reset-by-endpoint'))
    source.once('close', () => {
      this.#open--
      // Closed before it had sent all, and without an error: somebody destroyed it. The other side must not wait.
      if (!this.#sentAll[side]) this.#reset(side === 'client' ? 'reset-by-client' : 'reset-by-endpoint')
      if (this.#open === 0) this.#finish()
    })
    source.resume()
  }

  #sourceEnded(side: Side, other: Side): void {
    this.#sentAll[side] = true
    this.#lastByteAtMs = this.#clock.monotonicMs()
    this.#sockets[other].end()
    this.#events.sideClosed(side)
    this.#rearm()
  }

  #reset(end: PumpEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    resetSocket(this.#sockets.client)
    resetSocket(this.#sockets.endpoint)
  }

  #finish(): void {
    this.#cancelTimer()
    this.#end ??= 'closed'
    this.#events.ended(this.#end)
  }

  #quiet(): { readonly limitMs: number; readonly end: PumpEnd } {
    const { idleMs, halfClosedMs, silentMs } = this.#limits
    if (this.#sentAll.client || this.#sentAll.endpoint)
      return { limitMs: Math.min(halfClosedMs, idleMs), end: 'idle-half-closed' }
    if (this.#bytes.client === 0 && this.#bytes.endpoint === 0)
      return { limitMs: Math.min(silentMs, idleMs), end: 'silent' }
    return { limitMs: idleMs, end: 'idle' }
  }

  /** The timer is not moved with every byte: when it fires, it looks how long the silence really was. */
  #checkSilence(): void {
    const { limitMs, end } = this.#quiet()
    const leftMs = this.#lastByteAtMs + limitMs - this.#clock.monotonicMs()
    if (leftMs <= 0) this.#reset(end)
    else this.#cancelTimer = this.#clock.after(leftMs, () => this.#checkSilence())
  }

  /** After a side closed a shorter limit holds than the one that the timer waits for. */
  #rearm(): void {
    this.#cancelTimer()
    this.#checkSilence()
  }
}
