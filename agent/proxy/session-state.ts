// The rules of one connection's life, from accept to its end, as a pure function: every path goes through step().
//
//   accepted ──▶ connecting ──▶ relaying ──▶ halfClosed ──▶ closing ──▶ ended
//       │            │ ▲ next candidate                                  ▲
//       └────────────┴─┴──────── refused, no endpoint, client gone ──────┘
//
// session.ts runs the effects; it has no rule of its own.

import type { ConnectDecision, Decision, Refusal } from './decision/decide.ts'
import type { ViewEndpoint } from './decision/view.ts'

export type SessionState =
  /** The client is connected, and nothing was decided yet. */
  | { readonly kind: 'accepted' }
  /** Attempt `attempt` (from 1) to reach an endpoint is under way; the client's first bytes wait in its buffer. */
  | {
      readonly kind: 'connecting'
      readonly decision: ConnectDecision
      readonly attempt: number
      /** Monotonic. */
      readonly deadlineAtMs: number
      readonly failures: readonly ConnectFailure[]
    }
  /** Bytes move both ways. */
  | { readonly kind: 'relaying'; readonly endpoint: ViewEndpoint }
  /** One side has sent all that it will send; the other may still talk for as long as it wants. */
  | { readonly kind: 'halfClosed'; readonly endpoint: ViewEndpoint; readonly by: Side }
  /** Both sides have sent everything, and the last bytes are being delivered. */
  | { readonly kind: 'closing'; readonly endpoint: ViewEndpoint }
  /** Nothing happens any more. */
  | { readonly kind: 'ended'; readonly reason: EndReason }

export type Side = 'client' | 'endpoint'

export interface ConnectFailure {
  readonly endpoint: ViewEndpoint
  /** Name of the errno: ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ... */
  readonly code: string
}

/** How the relay of bytes ended. */
export type PumpEnd =
  /** Both sides closed in order. */
  | 'closed'
  | 'reset-by-client'
  | 'reset-by-endpoint'
  /** No byte either way for as long as the limit allows. */
  | 'idle'
  /** The same after one side had closed. */
  | 'idle-half-closed'
  /** No byte at all since the connection was relayed. */
  | 'silent'
  /** The proxy ended it. */
  | 'aborted'

export type EndReason =
  | { readonly kind: 'relayed'; readonly end: PumpEnd }
  | { readonly kind: 'refused'; readonly because: Refusal }
  | { readonly kind: 'selftest' }
  /** The client went away before an endpoint answered. */
  | { readonly kind: 'client-gone' }
  /** Every candidate was tried. */
  | { readonly kind: 'unreachable'; readonly failures: readonly ConnectFailure[] }
  /** Time ran out before every candidate was tried. */
  | { readonly kind: 'deadline'; readonly failures: readonly ConnectFailure[] }
  /** The proxy stopped before an endpoint answered. */
  | { readonly kind: 'stopped' }

export type SessionEvent =
  | { readonly kind: 'decided'; readonly decision: Decision; readonly atMs: number }
  | { readonly kind: 'connected'; readonly attempt: number }
  | { readonly kind: 'connectFailed'; readonly attempt: number; readonly code: string; readonly atMs: number }
  /** Reset or error on the client's socket while nothing is relayed. */
  | { readonly kind: 'clientGone' }
  | { readonly kind: 'sideClosed'; readonly by: Side }
  | { readonly kind: 'pumpEnded'; readonly end: PumpEnd }
  /** The proxy stops and waits no longer. */
  | { readonly kind: 'stop' }

export type Effect =
  | {
      readonly kind: 'connect'
      readonly attempt: number
      readonly endpoint: ViewEndpoint
      readonly timeoutMs: number
    }
  | { readonly kind: 'cancelConnect' }
  /** An endpoint answered after nobody waited for it any more. */
  | { readonly kind: 'dropEndpoint' }
  | { readonly kind: 'relay'; readonly endpoint: ViewEndpoint }
  | { readonly kind: 'answerSelfTest' }
  | { readonly kind: 'resetClient' }
  | { readonly kind: 'abortPump' }
  /** Always the last effect of a connection, exactly once. */
  | { readonly kind: 'record'; readonly reason: EndReason }

export interface Step {
  readonly state: SessionState
  readonly effects: readonly Effect[]
}

export const ACCEPTED: SessionState = { kind: 'accepted' }

/** Total: an event that a state does not expect is late news and changes nothing. */
export function step(state: SessionState, event: SessionEvent): Step {
  switch (state.kind) {
    case 'accepted':
      return whenAccepted(state, event)
    case 'connecting':
      return whenConnecting(state, event)
    case 'relaying':
    case 'halfClosed':
    case 'closing':
      return whenRelaying(state, event)
    case 'ended':
      return event.kind === 'connected' ? { state, effects: [{ kind: 'dropEndpoint' }] } : stay(state)
  }
}

function whenAccepted(state: SessionState, event: SessionEvent): Step {
  if (event.kind === 'clientGone') return end({ kind: 'client-gone' })
  if (event.kind === 'stop') return end({ kind: 'stopped' }, { kind: 'resetClient' })
  if (event.kind !== 'decided') return stay(state)
  const { decision } = event
  switch (decision.kind) {
    case 'refuse':
      return end({ kind: 'refused', because: decision.because }, { kind: 'resetClient' })
    case 'selftest':
      return end({ kind: 'selftest' }, { kind: 'answerSelfTest' })
    case 'peek':
      return end({ kind: 'refused', because: 'no-route' }, { kind: 'resetClient' })
    case 'connect':
      return attempt(decision, 1, event.atMs, event.atMs + decision.policy.connect.deadlineMs, [])
  }
}

function whenConnecting(state: SessionState & { readonly kind: 'connecting' }, event: SessionEvent): Step {
  switch (event.kind) {
    case 'connected': {
      const endpoint = state.decision.candidates[state.attempt - 1]
      if (event.attempt !== state.attempt || endpoint === undefined)
        return { state, effects: [{ kind: 'dropEndpoint' }] }
      return { state: { kind: 'relaying', endpoint }, effects: [{ kind: 'relay', endpoint }] }
    }
    case 'connectFailed': {
      const endpoint = state.decision.candidates[state.attempt - 1]
      if (event.attempt !== state.attempt || endpoint === undefined) return stay(state)
      const failures = [...state.failures, { endpoint, code: event.code }]
      return attempt(state.decision, state.attempt + 1, event.atMs, state.deadlineAtMs, failures)
    }
    case 'clientGone':
      return end({ kind: 'client-gone' }, { kind: 'cancelConnect' })
    case 'stop':
      return end({ kind: 'stopped' }, { kind: 'cancelConnect' }, { kind: 'resetClient' })
    case 'decided':
    case 'sideClosed':
    case 'pumpEnded':
      return stay(state)
  }
}

type Relaying = SessionState & { readonly kind: 'relaying' | 'halfClosed' | 'closing' }

function whenRelaying(state: Relaying, event: SessionEvent): Step {
  switch (event.kind) {
    case 'sideClosed': {
      const { endpoint } = state
      if (state.kind === 'relaying') return stay({ kind: 'halfClosed', endpoint, by: event.by })
      return state.kind === 'halfClosed' && state.by !== event.by
        ? stay({ kind: 'closing', endpoint })
        : stay(state)
    }
    case 'pumpEnded':
      return end({ kind: 'relayed', end: event.end })
    case 'stop':
      return { state, effects: [{ kind: 'abortPump' }] }
    case 'connected':
      return { state, effects: [{ kind: 'dropEndpoint' }] }
    case 'decided':
    case 'connectFailed':
    case 'clientGone':
      return stay(state)
  }
}

/** Starts attempt `number`, or ends when candidates or time ran out. */
function attempt(
  decision: ConnectDecision,
  number: number,
  nowMs: number,
  deadlineAtMs: number,
  failures: readonly ConnectFailure[],
): Step {
  const endpoint = decision.candidates[number - 1]
  if (endpoint === undefined) return end({ kind: 'unreachable', failures }, { kind: 'resetClient' })
  const leftMs = deadlineAtMs - nowMs
  if (leftMs <= 0) return end({ kind: 'deadline', failures }, { kind: 'resetClient' })
  // Giving up early helps only if there is another endpoint to try.
  const last = number === decision.candidates.length
  return {
    state: { kind: 'connecting', decision, attempt: number, deadlineAtMs, failures },
    effects: [
      {
        kind: 'connect',
        attempt: number,
        endpoint,
        timeoutMs: last ? leftMs : Math.min(decision.policy.connect.attemptTimeoutMs, leftMs),
      },
    ],
  }
}

function end(reason: EndReason, ...effects: readonly Effect[]): Step {
  return { state: { kind: 'ended', reason }, effects: [...effects, { kind: 'record', reason }] }
}

function stay(state: SessionState): Step {
  return { state, effects: [] }
}
