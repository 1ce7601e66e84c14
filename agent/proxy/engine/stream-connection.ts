// Runs one connection of the stream engine: gives events to connection-state.ts and does what it answers. Rules live
// there, bytes move in stream-relay.ts; here are the sockets.

import type { Socket } from 'node:net'
import type { Clock } from '../../model/clock.ts'
import type { RelayTimeouts } from '../../model/connection-policy.ts'
import { resetSocket } from '../reset.ts'
import {
  ACCEPTED,
  step,
  type ConnectionEvent,
  type ConnectionState,
  type Effect,
} from './connection-state.ts'
import type { Dialer } from './dialer.ts'
import type {
  ConnectionId,
  ConnectVerdict,
  EngineEvents,
  RelayedBytes,
  RelayOutcome,
  SocketAddress,
  Verdict,
} from './engine.ts'
import { awaitFirstBytes, peekBytes } from './first-bytes.ts'
import { StreamRelay, type RelayStart } from './stream-relay.ts'

export interface StreamConnectionParts {
  readonly clock: Clock
  readonly dialer: Dialer
  readonly events: EngineEvents
  /** It ended or was handed over: nothing more will come. `bytes` were relayed. */
  readonly forget: (connection: ConnectionId, bytes: RelayedBytes) => void
  /** An attempt to connect failed. */
  readonly attemptFailed: (code: string) => void
}

export class StreamConnection {
  readonly #id: ConnectionId
  readonly #client: Socket
  readonly #parts: StreamConnectionParts
  readonly #startMs: number
  readonly #queue: ConnectionEvent[] = []
  #state: ConnectionState = ACCEPTED
  #running = false
  #silent = false
  #cancelWait: (() => void) | undefined
  #dialedAtMs = 0
  /** Answered, and not relayed yet. */
  #answered: Socket | undefined
  #endpoint: Socket | undefined
  #relay: StreamRelay | undefined

  /** `client` is paused and allows half-open; the connection owns it from here on. */
  constructor(id: ConnectionId, client: Socket, parts: StreamConnectionParts) {
    this.#id = id
    this.#client = client
    this.#parts = parts
    this.#startMs = parts.clock.monotonicMs()
    client.on('error', this.#onClientGone).on('close', this.#onClientGone)
    // Reads ahead into the socket's bounded buffer: a paused socket would not notice a reset.
    client.read(0)
  }

  decide(verdict: Verdict): void {
    this.#later({ kind: 'verdict', verdict, atMs: this.#parts.clock.monotonicMs() })
  }

  abort(): void {
    this.#later({ kind: 'abort' })
  }

  peek(maxBytes: number): Uint8Array {
    return this.#state.kind === 'deciding' ? peekBytes(this.#client, maxBytes) : new Uint8Array(0)
  }

  bytes(): RelayedBytes {
    return this.#relay?.bytes() ?? NO_BYTES
  }

  /** For sockets that are connected already. */
  adopt(endpoint: Socket, start: RelayStart): void {
    this.#state = { kind: 'relaying' }
    this.#endpoint = endpoint
    this.#startRelay(start)
  }

  /** Resets both sides and tells nobody. */
  discard(): void {
    this.#silent = true
    this.#cancelWait?.()
    resetSocket(this.#client)
    if (this.#answered !== undefined) resetSocket(this.#answered)
    if (this.#endpoint !== undefined) resetSocket(this.#endpoint)
    this.#relay?.abort()
  }

  readonly #onClientGone = (): void => {
    this.#dispatch({ kind: 'clientGone' })
  }

  /** What the caller wants is done after its call has returned, so that no event comes from within. */
  #later(event: ConnectionEvent): void {
    queueMicrotask(() => this.#dispatch(event))
  }

  /** An event that comes while effects of another run waits for them. */
  #dispatch(event: ConnectionEvent): void {
    if (this.#silent) return
    this.#queue.push(event)
    if (this.#running) return
    this.#running = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { state, effects } = step(this.#state, next)
        this.#state = state
        // An engine may be closed by whoever hears of something.
        for (const effect of effects) if (!this.#silent) this.#run(effect)
      }
    } finally {
      this.#running = false
    }
  }

  #run(effect: Effect): void {
    const { events } = this.#parts
    switch (effect.kind) {
      case 'awaitFirstBytes':
        this.#cancelWait = awaitFirstBytes(
          this.#client,
          effect.atLeastBytes,
          effect.timeoutMs,
          this.#parts.clock,
          (over) => this.#dispatch({ kind: 'firstBytes', over }),
        )
        break
      case 'connect':
        this.#dial(effect.attempt, effect.candidate, effect.mark, effect.timeoutMs)
        break
      case 'cancelPeek':
      case 'cancelConnect':
        this.#cancelWait?.()
        break
      case 'dropEndpoint':
        if (this.#answered !== undefined) resetSocket(this.#answered)
        break
      case 'tellReadable':
        events.readable(this.#id, this.#client.readableLength, effect.over)
        break
      case 'tellFailed':
        this.#parts.attemptFailed(effect.code)
        events.attemptFailed(this.#id, effect.index, effect.code, this.#sinceUs(this.#dialedAtMs))
        break
      case 'tellConnected':
        events.connected(this.#id, effect.index, this.#sinceUs(this.#dialedAtMs))
        break
      case 'tellExhausted':
        events.exhausted(this.#id)
        break
      case 'relay':
        this.#endpoint = this.#answered
        this.#startRelay(relayStart(effect.verdict))
        break
      case 'abortRelay':
        this.#relay?.abort()
        break
      case 'resetClient':
        resetSocket(this.#client)
        break
      case 'handOver':
        this.#client.off('error', this.#onClientGone).off('close', this.#onClientGone)
        this.#parts.forget(this.#id, NO_BYTES)
        events.handedOver(this.#id, this.#client)
        break
      case 'end':
        this.#end(effect.outcome)
        break
    }
  }

  #dial(attempt: number, to: SocketAddress, mark: number, timeoutMs: number): void {
    const { clock, dialer } = this.#parts
    this.#dialedAtMs = clock.monotonicMs()
    this.#cancelWait = dialer.dial(to, mark, timeoutMs, (result) => {
      if (result.kind === 'connected') {
        this.#answered = result.socket
        this.#dispatch({ kind: 'connected', attempt })
      } else
        this.#dispatch({
          kind: 'connectFailed',
          attempt,
          code: result.code,
          atMs: clock.monotonicMs(),
        })
    })
  }

  #startRelay(start: RelayStart): void {
    if (this.#endpoint === undefined) return
    this.#relay = new StreamRelay(
      this.#client,
      this.#endpoint,
      start,
      {
        sideClosed: (by) => this.#dispatch({ kind: 'sideClosed', by }),
        ended: (outcome) => this.#dispatch({ kind: 'relayEnded', outcome }),
      },
      this.#parts.clock,
    )
  }

  #end(outcome: RelayOutcome): void {
    const bytes = this.bytes()
    this.#parts.forget(this.#id, bytes)
    this.#parts.events.ended(this.#id, {
      outcome,
      bytes,
      durationUs: this.#sinceUs(this.#startMs),
      client: undefined,
      endpoint: undefined,
    })
  }

  #sinceUs(startMs: number): number {
    return Math.round((this.#parts.clock.monotonicMs() - startMs) * 1_000)
  }
}

const NO_BYTES: RelayedBytes = { fromClient: 0, fromEndpoint: 0 }

function relayStart({ limits, skipBytes, prefix }: ConnectVerdict): RelayStart {
  return { limits, skipBytes, toEndpoint: prefix }
}

export function adoptStart(
  limits: RelayTimeouts,
  first?: { toEndpoint?: Uint8Array; toClient?: Uint8Array },
): RelayStart {
  return { limits, skipBytes: 0, toEndpoint: first?.toEndpoint, toClient: first?.toClient }
}
