// Runs one connection: gives events to session-state.ts and does what it answers. Rules live there, bytes move in the
// pump; here are sockets and the record of what was decided.

import type { Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import { hostPort } from '../model/ip.ts'
import type { AttemptRecord, ConnectionRecord } from './admin-shapes.ts'
import type { ConnectDecision, Decision, Flow } from './decision/decide.ts'
import type { ProxyView, ViewEndpoint } from './decision/view.ts'
import { whyOf } from './decision/why.ts'
import type { Pump, PumpLimits, Relay } from './pump/pump.ts'
import { resetSocket } from './reset.ts'
import { ACCEPTED, step, type EndReason, type SessionEvent, type SessionState } from './session-state.ts'
import type { LiveSession } from './sessions.ts'
import type { Dialer } from './upstream.ts'

export interface SessionParts {
  readonly clock: Clock
  readonly dialer: Dialer
  readonly pump: Pump<Socket>
  readonly limits: PumpLimits
  /** Says over a self-test connection who answers. */
  readonly selfTestAnswer: () => string
  readonly events: SessionEvents
}

/** For metrics, affinity and the table of sessions. */
export interface SessionEvents {
  attempted(decision: ConnectDecision, result: string): void
  connected(flow: Flow, decision: ConnectDecision, endpoint: ViewEndpoint): void
  ended(session: Session, reason: EndReason): void
}

export class Session implements LiveSession {
  readonly id: number
  readonly flow: Flow
  readonly #client: Socket
  readonly #parts: SessionParts
  readonly #sinceMs: number
  readonly #startMs: number
  readonly #attempts: MutableAttempt[] = []
  #decision: Decision | undefined
  #view: ProxyView | undefined
  #state: SessionState = ACCEPTED
  #cancelDial: (() => void) | undefined
  #upstream: Socket | undefined
  #relay: Relay | undefined
  #endpoint: ViewEndpoint | undefined
  #durationMs: number | undefined

  /** `client` is paused and allows half-open; the session owns it from here on. */
  constructor(id: number, flow: Flow, client: Socket, parts: SessionParts) {
    this.id = id
    this.flow = flow
    this.#client = client
    this.#parts = parts
    this.#sinceMs = parts.clock.wallMs()
    this.#startMs = parts.clock.monotonicMs()
    client.on('error', this.#onClientError)
  }

  get decision(): Decision | undefined {
    return this.#decision
  }

  /** Starts it. `view` is what the decision was made from. */
  begin(decision: Decision, view: ProxyView | undefined): void {
    this.#decision = decision
    this.#view = view
    this.#dispatch({ kind: 'decided', decision, atMs: this.#parts.clock.monotonicMs() })
    // Reads ahead into the socket's bounded buffer: a paused socket would not notice a reset.
    if (this.#state.kind === 'connecting') this.#client.read(0)
  }

  stop(): void {
    this.#dispatch({ kind: 'stop' })
  }

  record(): ConnectionRecord {
    const decision = this.#decision
    const connect = decision?.kind === 'connect' ? decision : undefined
    const view = this.#view
    const bytes = this.#relay?.bytes()
    return {
      id: this.id,
      client: hostPort(this.flow.client.ip, this.flow.client.port),
      originalDestination: hostPort(this.flow.destination.ip, this.flow.destination.port),
      clientKind: connect?.clientKind ?? null,
      service: connect?.service ?? null,
      frontend: connect?.frontend ?? null,
      endpoint: this.#endpoint === undefined ? null : hostPort(this.#endpoint.ip, this.#endpoint.port),
      decidedBy:
        view === undefined || decision === undefined
          ? null
          : { epoch: view.epoch, generation: view.generation, why: whyOf(decision) },
      attempts: this.#attempts.map((each) => this.#attemptRecord(each)),
      state: this.#state.kind,
      ended: this.#state.kind === 'ended' ? endText(this.#state.reason) : null,
      fromClientBytes: bytes?.fromClient ?? 0,
      fromEndpointBytes: bytes?.fromEndpoint ?? 0,
      sinceMs: this.#sinceMs,
      durationMs: Math.round(this.#durationMs ?? this.#parts.clock.monotonicMs() - this.#startMs),
    }
  }

  readonly #onClientError = (): void => {
    this.#dispatch({ kind: 'clientGone' })
  }

  #dispatch(event: SessionEvent): void {
    const { state, effects } = step(this.#state, event)
    this.#state = state
    for (const effect of effects) {
      switch (effect.kind) {
        case 'connect':
          this.#dial(effect.attempt, effect.endpoint, effect.timeoutMs)
          break
        case 'cancelConnect':
          this.#cancelDial?.()
          break
        case 'dropEndpoint':
          if (this.#upstream !== undefined) resetSocket(this.#upstream)
          this.#upstream = undefined
          break
        case 'relay':
          this.#startRelay(effect.endpoint)
          break
        case 'answerSelfTest':
          this.#client.end(this.#parts.selfTestAnswer(), () => this.#client.destroy())
          break
        case 'resetClient':
          resetSocket(this.#client)
          break
        case 'abortPump':
          this.#relay?.abort()
          break
        case 'record':
          this.#durationMs = this.#parts.clock.monotonicMs() - this.#startMs
          this.#parts.events.ended(this, effect.reason)
          break
      }
    }
  }

  #dial(number: number, endpoint: ViewEndpoint, timeoutMs: number): void {
    const { clock, dialer, events } = this.#parts
    const attempt: MutableAttempt = {
      endpoint,
      startMs: clock.monotonicMs(),
      endMs: undefined,
      result: 'connecting',
    }
    this.#attempts.push(attempt)
    const finish = (result: string): void => {
      attempt.endMs = clock.monotonicMs()
      attempt.result = result
      if (this.#decision?.kind === 'connect') events.attempted(this.#decision, result)
    }
    const cancel = dialer.dial(endpoint, timeoutMs, (result) => {
      this.#cancelDial = undefined
      if (result.kind === 'connected') {
        this.#upstream = result.socket
        finish('connected')
        this.#dispatch({ kind: 'connected', attempt: number })
      } else {
        finish(result.code)
        this.#dispatch({
          kind: 'connectFailed',
          attempt: number,
          code: result.code,
          atMs: clock.monotonicMs(),
        })
      }
    })
    this.#cancelDial = () => {
      cancel()
      finish('cancelled')
    }
  }

  #startRelay(endpoint: ViewEndpoint): void {
    const upstream = this.#upstream
    if (upstream === undefined || this.#decision?.kind !== 'connect') return
    this.#endpoint = endpoint
    this.#parts.events.connected(this.flow, this.#decision, endpoint)
    this.#relay = this.#parts.pump.start(this.#client, upstream, this.#parts.limits, {
      sideClosed: (by) => this.#dispatch({ kind: 'sideClosed', by }),
      ended: (end) => this.#dispatch({ kind: 'pumpEnded', end }),
    })
  }

  #attemptRecord(attempt: MutableAttempt): AttemptRecord {
    const endMs = attempt.endMs ?? this.#parts.clock.monotonicMs()
    return {
      endpoint: hostPort(attempt.endpoint.ip, attempt.endpoint.port),
      result: attempt.result,
      durationMs: Math.round(endMs - attempt.startMs),
    }
  }
}

interface MutableAttempt {
  readonly endpoint: ViewEndpoint
  readonly startMs: number
  endMs: number | undefined
  result: string
}

/** The reason as one short text. */
export function endText(reason: EndReason): string {
  switch (reason.kind) {
    case 'relayed':
      return reason.end
    case 'refused':
      return `refused: ${reason.because}`
    case 'selftest':
    case 'client-gone':
    case 'stopped':
      return reason.kind
    case 'unreachable':
    case 'deadline':
      return `${reason.kind}: ${reason.failures.map((each) => `${hostPort(each.endpoint.ip, each.endpoint.port)} ${each.code}`).join(', ')}`
  }
}
