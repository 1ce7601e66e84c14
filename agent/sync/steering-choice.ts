// Which mechanism brings steered connections to the proxy. A pure state machine: the best mechanism that the node can
// use is taken; when real connections through it fail several times in a row while a proxy is connected it is put aside
// for a while and the next takes its place; when the time is over it is tried again, and one failure then suffices.

import type { SteeringPlan } from '../plan/plan.ts'

export type Mechanism = SteeringPlan['mechanism']
export type WorkingMechanism = Exclude<Mechanism, 'off'>

export interface Candidate {
  readonly mechanism: WorkingMechanism
  /** undefined: usable. */
  readonly unusableBecause: string | undefined
}

export interface SteeringState {
  readonly mechanism: Mechanism
  /** A sentence. */
  readonly because: string
  /** Best first. */
  readonly candidates: readonly Candidate[]
  readonly aside: Readonly<Partial<Record<WorkingMechanism, Aside>>>
  /** undefined: none is connected. */
  readonly proxy: { readonly skLookup: boolean } | undefined
  readonly failures: number
  readonly successes: number
}

/** Kept after its end until the mechanism has proven itself again. */
export interface Aside {
  readonly untilMs: number
  readonly durationMs: number
  readonly because: string
}

export type SteeringEvent =
  | { readonly kind: 'proxy'; readonly proxy: SteeringState['proxy'] }
  /** `failure` undefined: the connection came through. */
  | { readonly kind: 'tested'; readonly mechanism: Mechanism; readonly failure: string | undefined }
  | { readonly kind: 'probed'; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'tick' }

/** Consecutive failures that put a mechanism aside, and successes that clear its record. */
export const FAILURES_TO_LEAVE = 3
export const SUCCESSES_TO_TRUST = 3
const ASIDE_MIN_MS = 60_000
const ASIDE_MAX_MS = 900_000

export function startSteering(
  option: 'auto' | Mechanism,
  candidates: readonly Candidate[],
  nowMs: number,
): SteeringState {
  const wanted = option === 'auto' ? candidates : candidates.filter(({ mechanism }) => mechanism === option)
  const start: SteeringState = {
    mechanism: 'off',
    because: 'switched off by the option steeringMechanism',
    candidates: wanted,
    aside: {},
    proxy: undefined,
    failures: 0,
    successes: 0,
  }
  return option === 'off' ? start : choose(start, nowMs)
}

export function stepSteering(state: SteeringState, event: SteeringEvent, nowMs: number): SteeringState {
  switch (event.kind) {
    case 'proxy':
      // Failures of one proxy say nothing about the next.
      return choose({ ...state, proxy: event.proxy, failures: 0 }, nowMs)
    case 'probed':
      return choose(
        { ...state, candidates: event.candidates.filter((one) => hasCandidate(state, one.mechanism)) },
        nowMs,
      )
    case 'tick':
      return choose(state, nowMs)
    case 'tested':
      return event.mechanism === state.mechanism ? tested(state, event.failure, nowMs) : state
  }
}

function tested(state: SteeringState, failure: string | undefined, nowMs: number): SteeringState {
  const { mechanism } = state
  if (mechanism === 'off' || state.proxy === undefined) return state
  if (failure === undefined) {
    const successes = state.successes + 1
    const aside = successes >= SUCCESSES_TO_TRUST ? without(state.aside, mechanism) : state.aside
    return { ...state, failures: 0, successes, aside }
  }
  const failures = state.failures + 1
  const known = state.aside[mechanism]
  if (known === undefined && failures < FAILURES_TO_LEAVE) return { ...state, failures, successes: 0 }
  const durationMs = known === undefined ? ASIDE_MIN_MS : Math.min(known.durationMs * 2, ASIDE_MAX_MS)
  const because = `a connection through ${mechanism} failed: ${failure}`
  const aside = { ...state.aside, [mechanism]: { untilMs: nowMs + durationMs, durationMs, because } }
  return choose({ ...state, aside }, nowMs)
}

/** The first candidate that nothing speaks against. */
function choose(state: SteeringState, nowMs: number): SteeringState {
  if (state.candidates.length === 0) return state
  const against: string[] = []
  for (const candidate of state.candidates) {
    const objection = objectionTo(candidate, state, nowMs)
    if (objection === undefined)
      return become(
        state,
        candidate.mechanism,
        against.length === 0 ? 'the best that this node can use' : against.join('; '),
      )
    against.push(objection)
  }
  return become(state, 'off', against.join('; '))
}

function objectionTo(candidate: Candidate, state: SteeringState, nowMs: number): string | undefined {
  const { mechanism, unusableBecause } = candidate
  if (unusableBecause !== undefined) return `${mechanism} cannot be used: ${unusableBecause}`
  if (mechanism === 'sk_lookup' && state.proxy?.skLookup === false)
    return 'the proxy could not put its listeners into the socket map'
  const aside = state.aside[mechanism]
  return aside !== undefined && aside.untilMs > nowMs ? aside.because : undefined
}

function become(state: SteeringState, mechanism: Mechanism, because: string): SteeringState {
  if (mechanism === state.mechanism) return because === state.because ? state : { ...state, because }
  return { ...state, mechanism, because, failures: 0, successes: 0 }
}

function hasCandidate(state: SteeringState, mechanism: WorkingMechanism): boolean {
  return state.candidates.some((one) => one.mechanism === mechanism)
}

function without(aside: SteeringState['aside'], mechanism: WorkingMechanism): SteeringState['aside'] {
  return Object.fromEntries(Object.entries(aside).filter(([name]) => name !== mechanism))
}
