import test from 'ava'
import {
  startSteering,
  stepSteering,
  type Candidate,
  type SteeringEvent,
  type SteeringState,
} from '#agent/sync/steering-choice.ts'

const BOTH: readonly Candidate[] = [
  { mechanism: 'sk_lookup', unusableBecause: undefined },
  { mechanism: 'dnat', unusableBecause: undefined },
]
const NO_BPF: readonly Candidate[] = [
  { mechanism: 'sk_lookup', unusableBecause: 'no BPF here' },
  { mechanism: 'dnat', unusableBecause: undefined },
]
const PROXY: SteeringEvent = { kind: 'proxy', proxy: { skLookup: true } }
const DNAT_PROXY: SteeringEvent = { kind: 'proxy', proxy: { skLookup: false } }
const GONE: SteeringEvent = { kind: 'proxy', proxy: undefined }
const MINUTE = 60_000

/** Runs `fail`, `ok`, `tick`, `wait N` (minutes) and events; a test result is always that of the mechanism in force. */
function story(state: SteeringState, steps: readonly (string | SteeringEvent)[]): SteeringState {
  let nowMs = 0
  let now = state
  for (const step of steps) {
    if (typeof step !== 'string') now = stepSteering(now, step, nowMs)
    else if (step.startsWith('wait ')) {
      nowMs += Number(step.slice(5)) * MINUTE
      now = stepSteering(now, { kind: 'tick' }, nowMs)
    } else {
      const failure = step === 'fail' ? 'no answer' : undefined
      now = stepSteering(now, { kind: 'tested', mechanism: now.mechanism, failure }, nowMs)
    }
  }
  return now
}

const ROWS: readonly {
  readonly name: string
  readonly option?: 'auto' | 'sk_lookup' | 'dnat' | 'off'
  readonly candidates?: readonly Candidate[]
  readonly steps?: readonly (string | SteeringEvent)[]
  readonly mechanism: string
  readonly because?: RegExp
}[] = [
  { name: 'the best usable is taken', mechanism: 'sk_lookup' },
  { name: 'without BPF it is DNAT', candidates: NO_BPF, mechanism: 'dnat', because: /no BPF here/ },
  { name: 'off stays off', option: 'off', steps: [PROXY, 'wait 99'], mechanism: 'off', because: /option/ },
  {
    name: 'a mechanism that was named is not replaced',
    option: 'sk_lookup',
    candidates: NO_BPF,
    steps: [PROXY],
    mechanism: 'off',
    because: /no BPF here/,
  },
  {
    name: 'a proxy without listeners in the socket map needs DNAT',
    steps: [DNAT_PROXY],
    mechanism: 'dnat',
    because: /listeners/,
  },
  {
    name: 'its successor with listeners gets sk_lookup again',
    steps: [DNAT_PROXY, PROXY],
    mechanism: 'sk_lookup',
  },
  { name: 'a proxy that leaves changes nothing', steps: [PROXY, 'ok', GONE], mechanism: 'sk_lookup' },
  { name: 'two failures change nothing', steps: [PROXY, 'fail', 'fail'], mechanism: 'sk_lookup' },
  {
    name: 'three failures in a row lead to DNAT',
    steps: [PROXY, 'fail', 'fail', 'fail'],
    mechanism: 'dnat',
    because: /sk_lookup failed: no answer/,
  },
  {
    name: 'a success between failures starts the count again',
    steps: [PROXY, 'fail', 'fail', 'ok', 'fail', 'fail'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'failures of one proxy are not held against the next',
    steps: [PROXY, 'fail', 'fail', GONE, PROXY, 'fail'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'without a proxy failures mean nothing',
    steps: ['fail', 'fail', 'fail', 'fail'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'when DNAT fails too, steering is off and says both reasons',
    steps: [PROXY, 'fail', 'fail', 'fail', 'fail', 'fail', 'fail'],
    mechanism: 'off',
    because: /sk_lookup failed.*; .*dnat failed/,
  },
  {
    name: 'after a minute sk_lookup is tried again',
    steps: [PROXY, 'fail', 'fail', 'fail', 'wait 1'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'then one failure suffices, and the pause doubles',
    steps: [PROXY, 'fail', 'fail', 'fail', 'wait 1', 'fail', 'wait 1'],
    mechanism: 'dnat',
  },
  {
    name: 'after the doubled pause it is tried again',
    steps: [PROXY, 'fail', 'fail', 'fail', 'wait 1', 'fail', 'wait 2'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'three successes clear its record',
    steps: [PROXY, 'fail', 'fail', 'fail', 'wait 1', 'ok', 'ok', 'ok', 'fail', 'fail'],
    mechanism: 'sk_lookup',
  },
  {
    name: 'a probe that finds BPF gone moves to DNAT',
    steps: [PROXY, { kind: 'probed', candidates: NO_BPF }],
    mechanism: 'dnat',
  },
  {
    name: 'a probe does not bring in what was not asked for',
    option: 'dnat',
    steps: [{ kind: 'probed', candidates: BOTH }],
    mechanism: 'dnat',
  },
]

for (const { name, option = 'auto', candidates = BOTH, steps = [], mechanism, because } of ROWS)
  test(name, (t) => {
    const state = story(startSteering(option, candidates, 0), steps)
    t.is(state.mechanism, mechanism as never)
    if (because !== undefined) t.regex(state.because, because)
  })

test('a late result of the mechanism before is ignored', (t) => {
  const moved = story(startSteering('auto', BOTH, 0), [PROXY, 'fail', 'fail', 'fail'])
  const after = stepSteering(moved, { kind: 'tested', mechanism: 'sk_lookup', failure: 'late' }, 0)
  t.is(after, moved)
})

test('the pause grows to a quarter of an hour and no further', (t) => {
  let state = story(startSteering('sk_lookup', BOTH, 0), [PROXY])
  let nowMs = 0
  const pauses: number[] = []
  for (let i = 0; i < 30; i++) {
    state = stepSteering(state, { kind: 'tested', mechanism: state.mechanism, failure: 'no' }, nowMs)
    const aside = state.aside.sk_lookup
    if (state.mechanism !== 'off' || aside === undefined) continue
    pauses.push(aside.durationMs / MINUTE)
    nowMs = aside.untilMs
    state = stepSteering(state, { kind: 'tick' }, nowMs)
  }
  t.deepEqual(pauses.slice(0, 7), [1, 2, 4, 8, 15, 15, 15])
})
