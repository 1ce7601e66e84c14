// The rules of one connection's life in the stream engine, from accept to its end, as a pure function: every path goes
// through step().
//
//   deciding ──▶ connecting ──▶ relaying ──▶ halfClosed ──▶ closing ──▶ ended
//    ▲ │  ▲ └──▶ peeking │ ▲ next candidate                               ▲
//    │ └──┼──────┘       └─┘                                              │
//    │    └── exhausted ──┘        refused, aborted, client gone ─────────┘
//    └ accepted                                         (handedOver: as far as the engine is concerned, the end)
//
// stream-connection.ts runs the effects; it has no rule of its own.

import type { ConnectVerdict, RelayOutcome, SocketAddress, Verdict } from './engine.ts'

export type ConnectionState =
  /** Waits for a verdict: just accepted, its first bytes are there, or no candidate worked. */
  | { readonly kind: 'deciding'; readonly attempts: number }
  /** Waits for the client's first bytes. */
  | { readonly kind: 'peeking'; readonly attempts: number }
  /** Attempt `attempt` of this connection (from 1, over all verdicts) is under way, to candidate `index`. */
  | {
      readonly kind: 'connecting'
      readonly verdict: ConnectVerdict
      readonly index: number
      readonly attempt: number
      /** Monotonic. */
      readonly deadlineAtMs: number
    }
  /** Bytes move both ways. */
  | { readonly kind: 'relaying' }
  /** One side has sent all that it will send; the other may still talk for as long as it wants. */
  | { readonly kind: 'halfClosed'; readonly by: Side }
  /** Both sides have sent everything, and the last bytes are being delivered. */
  | { readonly kind: 'closing' }
  | { readonly kind: 'handedOver' }
  | { readonly kind: 'ended' }

export type Side = 'client' | 'endpoint'

export type ConnectionEvent =
  | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly atMs: number }
  /** What a peek waited for; `over`: less came than was wanted, and it is no use to wait. */
  | { readonly kind: 'firstBytes'; readonly over: boolean }
  | { readonly kind: 'connected'; readonly attempt: number }
  | { readonly kind: 'connectFailed'; readonly attempt: number; readonly code: string; readonly atMs: number }
  /** Reset or error on the client's socket while nothing is relayed. */
  | { readonly kind: 'clientGone' }
  | { readonly kind: 'sideClosed'; readonly by: Side }
  | { readonly kind: 'relayEnded'; readonly outcome: RelayOutcome }
  | { readonly kind: 'abort' }

export type Effect =
  | { readonly kind: 'awaitFirstBytes'; readonly atLeastBytes: number; readonly timeoutMs: number }
  | { readonly kind: 'cancelPeek' }
  | { readonly kind: 'tellReadable'; readonly over: boolean }
  | {
      readonly kind: 'connect'
      readonly attempt: number
      readonly candidate: SocketAddress
      readonly mark: number
      readonly timeoutMs: number
    }
  | { readonly kind: 'cancelConnect' }
  /** An endpoint answered after nobody waited for it any more. */
  | { readonly kind: 'dropEndpoint' }
  | { readonly kind: 'tellFailed'; readonly index: number; readonly code: string }
  | { readonly kind: 'tellConnected'; readonly index: number }
  | { readonly kind: 'tellExhausted' }
  | { readonly kind: 'relay'; readonly verdict: ConnectVerdict }
  | { readonly kind: 'abortRelay' }
  | { readonly kind: 'resetClient' }
  | { readonly kind: 'handOver' }
  /** Always the last effect of a connection, exactly once, unless it was handed over. */
  | { readonly kind: 'end'; readonly outcome: RelayOutcome }

export interface Step {
  readonly state: ConnectionState
  readonly effects: readonly Effect[]
}

export const ACCEPTED: ConnectionState = { kind: 'deciding', attempts: 0 }

/** Total: an event that a state does not expect is late news and changes nothing. */
export function step(state: ConnectionState, event: ConnectionEvent): Step {
  switch (state.kind) {
    case 'deciding':
      return whenDeciding(state, event)
    case 'peeking':
      return whenPeeking(state, event)
    case 'connecting':
      return whenConnecting(state, event)
    case 'relaying':
    case 'halfClosed':
    case 'closing':
      return whenRelaying(state, event)
    case 'handedOver':
    case 'ended':
      return lateNews(state, event)
  }
}

function whenDeciding(state: ConnectionState & { readonly kind: 'deciding' }, event: ConnectionEvent): Step {
  if (event.kind === 'clientGone') return end('client-gone')
  if (event.kind === 'abort') return end('aborted', { kind: 'resetClient' })
  if (event.kind !== 'verdict') return lateNews(state, event)
  const { verdict } = event
  switch (verdict.kind) {
    case 'refuse':
      return end('refused', { kind: 'resetClient' })
    case 'handOver':
      return { state: { kind: 'handedOver' }, effects: [{ kind: 'handOver' }] }
    case 'peek': {
      const { atLeastBytes, timeoutMs } = verdict
      return {
        state: { kind: 'peeking', attempts: state.attempts },
        effects: [{ kind: 'awaitFirstBytes', atLeastBytes, timeoutMs }],
      }
    }
    case 'connect':
      return attempt(verdict, 0, state.attempts, event.atMs, event.atMs + verdict.deadlineMs)
  }
}

function whenPeeking(state: ConnectionState & { readonly kind: 'peeking' }, event: ConnectionEvent): Step {
  switch (event.kind) {
    case 'firstBytes':
      return {
        state: { kind: 'deciding', attempts: state.attempts },
        effects: [{ kind: 'tellReadable', over: event.over }],
      }
    case 'clientGone':
      return end('client-gone', { kind: 'cancelPeek' })
    case 'abort':
      return end('aborted', { kind: 'cancelPeek' }, { kind: 'resetClient' })
    case 'verdict':
    case 'connected':
    case 'connectFailed':
    case 'sideClosed':
    case 'relayEnded':
      return lateNews(state, event)
  }
}

function whenConnecting(
  state: ConnectionState & { readonly kind: 'connecting' },
  event: ConnectionEvent,
): Step {
  const { verdict, index } = state
  switch (event.kind) {
    case 'connected':
      if (event.attempt !== state.attempt) return lateNews(state, event)
      return {
        state: { kind: 'relaying' },
        effects: [
          { kind: 'tellConnected', index },
          { kind: 'relay', verdict },
        ],
      }
    case 'connectFailed': {
      if (event.attempt !== state.attempt) return stay(state)
      const next = attempt(verdict, index + 1, state.attempt, event.atMs, state.deadlineAtMs)
      return {
        state: next.state,
        effects: [{ kind: 'tellFailed', index, code: event.code }, ...next.effects],
      }
    }
    case 'clientGone':
      return end('client-gone', { kind: 'cancelConnect' })
    case 'abort':
      return end('aborted', { kind: 'cancelConnect' }, { kind: 'resetClient' })
    case 'verdict':
    case 'firstBytes':
    case 'sideClosed':
    case 'relayEnded':
      return lateNews(state, event)
  }
}

type Relaying = ConnectionState & { readonly kind: 'relaying' | 'halfClosed' | 'closing' }

function whenRelaying(state: Relaying, event: ConnectionEvent): Step {
  switch (event.kind) {
    case 'sideClosed':
      if (state.kind === 'relaying') return stay({ kind: 'halfClosed', by: event.by })
      return stay(state.kind === 'halfClosed' && state.by !== event.by ? { kind: 'closing' } : state)
    case 'relayEnded':
      return end(event.outcome)
    case 'abort':
      return { state, effects: [{ kind: 'abortRelay' }] }
    case 'verdict':
    case 'firstBytes':
    case 'connected':
    case 'connectFailed':
    case 'clientGone':
      return lateNews(state, event)
  }
}

/** Starts the attempt to candidate `index`, or says that candidates or time ran out; the client waits on. */
function attempt(
  verdict: ConnectVerdict,
  index: number,
  attempts: number,
  nowMs: number,
  deadlineAtMs: number,
): Step {
  const candidate = verdict.candidates[index]
  const leftMs = deadlineAtMs - nowMs
  if (candidate === undefined || leftMs <= 0)
    return { state: { kind: 'deciding', attempts }, effects: [{ kind: 'tellExhausted' }] }
  // Giving up early helps only if there is another endpoint to try.
  const last = index === verdict.candidates.length - 1
  return {
    state: { kind: 'connecting', verdict, index, attempt: attempts + 1, deadlineAtMs },
    effects: [
      {
        kind: 'connect',
        attempt: attempts + 1,
        candidate,
        mark: verdict.mark,
        timeoutMs: last ? leftMs : Math.min(verdict.attemptTimeoutMs, leftMs),
      },
    ],
  }
}

function end(outcome: RelayOutcome, ...effects: readonly Effect[]): Step {
  return { state: { kind: 'ended' }, effects: [...effects, { kind: 'end', outcome }] }
}

/** Nothing changes, but an endpoint that answered must not stay open. */
function lateNews(state: ConnectionState, event: ConnectionEvent): Step {
  return event.kind === 'connected' ? { state, effects: [{ kind: 'dropEndpoint' }] } : stay(state)
}

function stay(state: ConnectionState): Step {
  return { state, effects: [] }
}
