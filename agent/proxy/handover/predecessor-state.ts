// The running proxy's side of a hand-over, as rules: what it does when a successor speaks, falls silent or goes away.
// Until a successor says `serving` nothing that this proxy does changes, so that every failure leaves it as it was.

import { HANDOVER_VERSION, type Hello, type Refusal, type SuccessorMessage } from './messages.ts'

/** Of one connection on the hand-over socket. */
export type CallerId = number

export type PredecessorState =
  /** Nobody takes over. */
  | { readonly kind: 'serving' }
  | {
      readonly kind: 'handing'
      readonly to: CallerId
      readonly pid: number
      /** `granted`: has been sent the sockets; `described`: the state too; `committed`: was told to go. */
      readonly phase: 'granted' | 'described' | 'committed'
    }
  /** A successor serves. */
  | { readonly kind: 'retired'; readonly to: CallerId }
  /** It was told to stop; nobody may take over any more. */
  | { readonly kind: 'stopping' }

export type PredecessorEvent =
  /** `here`: it is in the same network namespace. */
  | { readonly kind: 'greeted'; readonly by: CallerId; readonly hello: Hello; readonly here: boolean }
  | {
      readonly kind: 'said'
      readonly by: CallerId
      readonly message: Exclude<SuccessorMessage, Hello>
    }
  /** What came is no message. */
  | { readonly kind: 'broken'; readonly by: CallerId; readonly because: string }
  | { readonly kind: 'gone'; readonly by: CallerId }
  /** The time that was armed is over. */
  | { readonly kind: 'late' }
  | { readonly kind: 'stop' }

export type PredecessorEffect =
  /** Send the answer and the sockets. */
  | { readonly kind: 'grant'; readonly to: CallerId }
  | { readonly kind: 'refuse'; readonly to: CallerId; readonly because: Refusal }
  | { readonly kind: 'describe'; readonly to: CallerId }
  | { readonly kind: 'go'; readonly to: CallerId }
  /** Say so and hang up. */
  | { readonly kind: 'cancel'; readonly to: CallerId; readonly because: string }
  /** Replaces the time that was armed before. */
  | { readonly kind: 'arm'; readonly delayMs: number }
  | { readonly kind: 'disarm' }
  /** Accept no more, and tell that caller how the connections end. */
  | { readonly kind: 'retire'; readonly to: CallerId }
  /** For the log: this proxy goes on. */
  | { readonly kind: 'failed'; readonly pid: number; readonly because: string }

/** A successor loads its view and waits for the agent; a slow node may take some seconds. */
export const READY_TIMEOUT_MS = 30_000
/** Nothing is left to do but to begin. */
export const SERVING_TIMEOUT_MS = 10_000

export interface PredecessorStep {
  readonly state: PredecessorState
  readonly effects: readonly PredecessorEffect[]
}

/** Total: what does not fit the state is answered, or changes nothing. */
export function stepPredecessor(state: PredecessorState, event: PredecessorEvent): PredecessorStep {
  switch (event.kind) {
    case 'greeted':
      return greeted(state, event)
    case 'said':
      return told(state, event.by, event.message)
    case 'broken': {
      const handing = handingTo(state, event.by)
      return handing === undefined
        ? { state, effects: [{ kind: 'cancel', to: event.by, because: event.because }] }
        : giveUp(handing, event.because)
    }
    case 'gone': {
      const handing = handingTo(state, event.by)
      return handing === undefined ? { state, effects: [] } : back(handing, 'it went away before it served')
    }
    case 'late':
      return state.kind === 'handing' ? giveUp(state, 'it took too long') : { state, effects: [] }
    case 'stop':
      return stop(state)
  }
}

type Handing = Extract<PredecessorState, { kind: 'handing' }>

function handingTo(state: PredecessorState, caller: CallerId): Handing | undefined {
  return state.kind === 'handing' && state.to === caller ? state : undefined
}

function greeted(
  state: PredecessorState,
  { by, hello, here }: Extract<PredecessorEvent, { kind: 'greeted' }>,
): PredecessorStep {
  const handing = handingTo(state, by)
  if (handing !== undefined) return giveUp(handing, 'it said hello twice')
  const refuse = (because: Refusal): PredecessorStep => ({
    state,
    effects: [{ kind: 'refuse', to: by, because }],
  })
  if (hello.version !== HANDOVER_VERSION) return refuse('version')
  if (!here) return refuse('netns')
  if (state.kind === 'handing') return refuse('busy')
  if (state.kind !== 'serving') return refuse('stopping')
  return {
    state: { kind: 'handing', to: by, pid: hello.pid, phase: 'granted' },
    effects: [
      { kind: 'grant', to: by },
      { kind: 'arm', delayMs: READY_TIMEOUT_MS },
    ],
  }
}

function told(
  state: PredecessorState,
  by: CallerId,
  message: Exclude<SuccessorMessage, Hello>,
): PredecessorStep {
  const handing = handingTo(state, by)
  if (handing === undefined)
    // What becomes of a successor that serves is its own affair.
    return state.kind === 'retired' && state.to === by
      ? { state, effects: [] }
      : { state, effects: [{ kind: 'cancel', to: by, because: 'no hand-over to it is under way' }] }
  const { phase } = handing
  if (message.kind === 'failed') return back(handing, message.because)
  if (phase === 'granted' && message.kind === 'received')
    return { state: { ...handing, phase: 'described' }, effects: [{ kind: 'describe', to: by }] }
  if (phase === 'described' && message.kind === 'ready')
    return {
      state: { ...handing, phase: 'committed' },
      effects: [
        { kind: 'go', to: by },
        { kind: 'arm', delayMs: SERVING_TIMEOUT_MS },
      ],
    }
  if (phase === 'committed' && message.kind === 'serving')
    return { state: { kind: 'retired', to: by }, effects: [{ kind: 'disarm' }, { kind: 'retire', to: by }] }
  return giveUp(handing, `it said ${message.kind} out of turn`)
}

function stop(state: PredecessorState): PredecessorStep {
  if (state.kind === 'handing' && state.phase !== 'committed') {
    const { effects } = giveUp(state, 'it was told to stop')
    return { state: { kind: 'stopping' }, effects }
  }
  // A successor that was told to go takes over, whether this proxy stops meanwhile or not.
  if (state.kind === 'handing')
    return {
      state: { kind: 'retired', to: state.to },
      effects: [{ kind: 'disarm' }, { kind: 'retire', to: state.to }],
    }
  return { state: state.kind === 'retired' ? state : { kind: 'stopping' }, effects: [] }
}

/** It is still there and has to be told. */
function giveUp(state: Handing, because: string): PredecessorStep {
  const { effects } = back(state, because)
  return {
    state: { kind: 'serving' },
    effects: [{ kind: 'cancel', to: state.to, because }, ...effects],
  }
}

function back({ pid }: Handing, because: string): PredecessorStep {
  return { state: { kind: 'serving' }, effects: [{ kind: 'disarm' }, { kind: 'failed', pid, because }] }
}
