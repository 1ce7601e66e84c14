// The starting proxy's side of a hand-over, as rules. It accepts only after `go`, or when the predecessor has died with the
// sockets already here: then nobody else can. It never ends the predecessor, whatever that one does.

import type { DrainingReport, PredecessorMessage, Refusal } from './messages.ts'

export type SuccessorState =
  /** Said hello. */
  | { readonly kind: 'calling' }
  /** Has the sockets, waits for the state. */
  | { readonly kind: 'granted' }
  /** Builds itself. `alone`: the predecessor is dead. */
  | { readonly kind: 'preparing'; readonly alone: boolean }
  /** Waits for `go`. */
  | { readonly kind: 'ready' }
  /** Begins to accept. */
  | { readonly kind: 'taking'; readonly alone: boolean }
  | { readonly kind: 'serving' }
  | { readonly kind: 'failed'; readonly because: Failure }

export type Failure =
  | { readonly kind: 'refused'; readonly because: Refusal; readonly pid: number; readonly version: number }
  /** It does not answer, or stopped answering: it may hang. */
  | { readonly kind: 'silent'; readonly waitedFor: 'answer' | 'state' | 'go' }
  /** It ended before it gave anything. */
  | { readonly kind: 'lost' }
  | { readonly kind: 'cancelled'; readonly because: string }
  /** What came is no message. */
  | { readonly kind: 'broken'; readonly because: string }
  /** This process itself could not go on. */
  | { readonly kind: 'own'; readonly because: string }

export type SuccessorEvent =
  | { readonly kind: 'heard'; readonly message: PredecessorMessage }
  | { readonly kind: 'broken'; readonly because: string }
  | { readonly kind: 'lost' }
  | { readonly kind: 'late' }
  | { readonly kind: 'prepared' }
  | { readonly kind: 'accepting' }
  /** Preparing or beginning to accept failed. */
  | { readonly kind: 'unable'; readonly because: string }

export type SuccessorEffect =
  | { readonly kind: 'tell'; readonly message: 'received' | 'ready' | 'serving' }
  | { readonly kind: 'arm'; readonly delayMs: number }
  | { readonly kind: 'disarm' }
  /** A part of what the predecessor knows. */
  | { readonly kind: 'keep'; readonly part: unknown }
  /** With what was kept, which is not all if the predecessor died before it had told all. */
  | { readonly kind: 'prepare' }
  | { readonly kind: 'accept' }
  | { readonly kind: 'report'; readonly report: DrainingReport }
  /** Tell it, hang up, close what was received, end with an error. */
  | { readonly kind: 'fail'; readonly because: Failure }

export const ANSWER_TIMEOUT_MS = 5_000
/** 100,000 affinity records are some 10 MB of JSON. */
export const STATE_TIMEOUT_MS = 10_000
export const GO_TIMEOUT_MS = 5_000

export interface SuccessorStep {
  readonly state: SuccessorState
  readonly effects: readonly SuccessorEffect[]
}

/** Total: what does not fit the state is a failure of the predecessor, or changes nothing. */
export function stepSuccessor(state: SuccessorState, event: SuccessorEvent): SuccessorStep {
  if (state.kind === 'failed') return { state, effects: [] }
  switch (event.kind) {
    case 'heard':
      return heard(state, event.message)
    case 'broken':
      // Reports are for show; a bad one is nothing to stop serving for.
      return state.kind === 'serving'
        ? { state, effects: [] }
        : fail({ kind: 'broken', because: event.because })
    case 'lost':
      return lost(state)
    case 'late':
      return late(state)
    case 'prepared':
      return prepared(state)
    case 'accepting':
      return accepting(state)
    case 'unable':
      return state.kind === 'serving' ? { state, effects: [] } : fail({ kind: 'own', because: event.because })
  }
}

function heard(state: SuccessorState, message: PredecessorMessage): SuccessorStep {
  switch (message.kind) {
    case 'granted':
      if (state.kind !== 'calling') break
      if (!message.last) return { state, effects: [] }
      return {
        state: { kind: 'granted' },
        effects: [
          { kind: 'tell', message: 'received' },
          { kind: 'arm', delayMs: STATE_TIMEOUT_MS },
        ],
      }
    case 'refused':
      if (state.kind !== 'calling') break
      return fail({
        kind: 'refused',
        because: message.because,
        pid: message.pid,
        version: message.version,
      })
    case 'state':
      if (state.kind !== 'granted') break
      return { state, effects: [{ kind: 'keep', part: message.part }] }
    case 'described':
      if (state.kind !== 'granted') break
      return {
        state: { kind: 'preparing', alone: false },
        effects: [{ kind: 'disarm' }, { kind: 'prepare' }],
      }
    case 'go':
      if (state.kind !== 'ready') break
      return {
        state: { kind: 'taking', alone: false },
        effects: [{ kind: 'disarm' }, { kind: 'accept' }],
      }
    case 'cancelled':
      return fail({ kind: 'cancelled', because: message.because })
    case 'draining':
      // One that stops in the middle retires before it has heard that this one serves.
      if (state.kind !== 'serving' && state.kind !== 'taking') break
      return { state, effects: [{ kind: 'report', report: message }] }
  }
  return fail({ kind: 'broken', because: `the running proxy said ${message.kind} out of turn` })
}

/** The predecessor has ended without a word. */
function lost(state: SuccessorState): SuccessorStep {
  switch (state.kind) {
    case 'granted':
      return {
        state: { kind: 'preparing', alone: true },
        effects: [{ kind: 'disarm' }, { kind: 'prepare' }],
      }
    case 'preparing':
    case 'taking':
      return { state: { ...state, alone: true }, effects: [] }
    case 'ready':
      return {
        state: { kind: 'taking', alone: true },
        effects: [{ kind: 'disarm' }, { kind: 'accept' }],
      }
    case 'serving':
      return { state, effects: [] }
    case 'calling':
    case 'failed':
      return fail({ kind: 'lost' })
  }
}

const WAITS_FOR = { calling: 'answer', granted: 'state', ready: 'go' } as const

function late(state: SuccessorState): SuccessorStep {
  if (state.kind !== 'calling' && state.kind !== 'granted' && state.kind !== 'ready')
    return { state, effects: [] }
  return fail({ kind: 'silent', waitedFor: WAITS_FOR[state.kind] })
}

function prepared(state: SuccessorState): SuccessorStep {
  if (state.kind !== 'preparing') return { state, effects: [] }
  if (state.alone) return { state: { kind: 'taking', alone: true }, effects: [{ kind: 'accept' }] }
  return {
    state: { kind: 'ready' },
    effects: [
      { kind: 'tell', message: 'ready' },
      { kind: 'arm', delayMs: GO_TIMEOUT_MS },
    ],
  }
}

function accepting(state: SuccessorState): SuccessorStep {
  if (state.kind !== 'taking') return { state, effects: [] }
  return {
    state: { kind: 'serving' },
    effects: state.alone ? [] : [{ kind: 'tell', message: 'serving' }],
  }
}

function fail(because: Failure): SuccessorStep {
  return { state: { kind: 'failed', because }, effects: [{ kind: 'disarm' }, { kind: 'fail', because }] }
}
