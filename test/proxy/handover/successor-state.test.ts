import test from 'ava'
import type { PredecessorMessage } from '#agent/proxy/handover/messages.ts'
import {
  stepSuccessor,
  type SuccessorEffect,
  type SuccessorEvent,
  type SuccessorState,
} from '#agent/proxy/handover/successor-state.ts'

const heard = (message: PredecessorMessage): SuccessorEvent => ({ kind: 'heard', message })
const granted = (last: boolean): SuccessorEvent =>
  heard({ kind: 'granted', version: 1, pid: 7, sockets: [], last })
const GRANTED = granted(true)
const STATE = heard({ kind: 'described' })
const PART = heard({ kind: 'state', part: { affinity: [] } })
const PREPARED: SuccessorEvent = { kind: 'prepared' }
const GO = heard({ kind: 'go' })
const ACCEPTING: SuccessorEvent = { kind: 'accepting' }
const REPORT = heard({ kind: 'draining', pid: 7, connections: 3, sinceMs: 1, untilMs: null })
const LOST: SuccessorEvent = { kind: 'lost' }
const LATE: SuccessorEvent = { kind: 'late' }
const CANCELLED = heard({ kind: 'cancelled', because: 'it was told to stop' })

interface Row {
  readonly name: string
  readonly events: readonly SuccessorEvent[]
  /** What the last event led to. */
  readonly want: readonly string[]
  readonly state: SuccessorState['kind']
}

const STEPS = [GRANTED, STATE, PREPARED, GO, ACCEPTING]

const ROWS: readonly Row[] = [
  {
    name: 'it says when it has all sockets',
    events: [granted(false), GRANTED],
    want: ['tell received', 'arm 10000'],
    state: 'granted',
  },
  { name: 'it waits for the rest of the sockets', events: [granted(false)], want: [], state: 'calling' },
  {
    name: 'it prepares with the state',
    events: STEPS.slice(0, 2),
    want: ['disarm', 'prepare'],
    state: 'preparing',
  },
  {
    name: 'it keeps what it is told, and waits for the rest',
    events: [GRANTED, PART],
    want: ['keep'],
    state: 'granted',
  },
  {
    name: 'it prepares with all parts of the state',
    events: [GRANTED, PART, PART, STATE],
    want: ['disarm', 'prepare'],
    state: 'preparing',
  },
  {
    name: 'a predecessor that dies while it tells its state: go on with what is here',
    events: [GRANTED, PART, LOST],
    want: ['disarm', 'prepare'],
    state: 'preparing',
  },
  {
    name: 'it says when it is ready',
    events: STEPS.slice(0, 3),
    want: ['tell ready', 'arm 5000'],
    state: 'ready',
  },
  {
    name: 'it accepts when told to go',
    events: STEPS.slice(0, 4),
    want: ['disarm', 'accept'],
    state: 'taking',
  },
  { name: 'it says when it serves', events: STEPS, want: ['tell serving'], state: 'serving' },
  {
    name: 'a report of the predecessor is passed on',
    events: [...STEPS, REPORT],
    want: ['report 3'],
    state: 'serving',
  },
  {
    name: 'a predecessor that stops retires early',
    events: [...STEPS.slice(0, 4), REPORT],
    want: ['report 3'],
    state: 'taking',
  },
  {
    name: 'the end of the predecessor is nothing to it once it serves',
    events: [...STEPS, LOST],
    want: [],
    state: 'serving',
  },
  {
    name: 'a refusal ends it',
    events: [heard({ kind: 'refused', version: 1, pid: 7, because: 'busy' })],
    want: ['disarm', 'fail refused'],
    state: 'failed',
  },
  {
    name: 'a predecessor that hangs is left alone: no answer',
    events: [LATE],
    want: ['disarm', 'fail silent'],
    state: 'failed',
  },
  {
    name: 'a predecessor that hangs is left alone: no state',
    events: [GRANTED, LATE],
    want: ['disarm', 'fail silent'],
    state: 'failed',
  },
  {
    name: 'a predecessor that hangs is left alone: no go',
    events: [...STEPS.slice(0, 3), LATE],
    want: ['disarm', 'fail silent'],
    state: 'failed',
  },
  {
    name: 'a predecessor that dies before it gave the sockets',
    events: [LOST],
    want: ['disarm', 'fail lost'],
    state: 'failed',
  },
  {
    name: 'a predecessor that dies before it told its state: go on without',
    events: [GRANTED, LOST],
    want: ['disarm', 'prepare'],
    state: 'preparing',
  },
  {
    name: 'a predecessor that dies while this one prepares: accept as soon as prepared',
    events: [GRANTED, STATE, LOST, PREPARED],
    want: ['accept'],
    state: 'taking',
  },
  {
    name: 'a predecessor that dies before it said go: accept at once',
    events: [...STEPS.slice(0, 3), LOST],
    want: ['disarm', 'accept'],
    state: 'taking',
  },
  {
    name: 'nobody is told when the predecessor is dead',
    events: [...STEPS.slice(0, 4), LOST, ACCEPTING],
    want: [],
    state: 'serving',
  },
  ...STEPS.map((_, count): Row => ({
    name: `cancelled after step ${count + 1}: it ends`,
    events: [...STEPS.slice(0, count + 1), CANCELLED],
    want: ['disarm', 'fail cancelled'],
    state: 'failed',
  })),
  {
    name: 'go out of turn is a failure',
    events: [GRANTED, GO],
    want: ['disarm', 'fail broken'],
    state: 'failed',
  },
  {
    name: 'what it cannot do itself ends it',
    events: [GRANTED, STATE, { kind: 'unable', because: 'no view' }],
    want: ['disarm', 'fail own'],
    state: 'failed',
  },
  {
    name: 'a bad report does not end it',
    events: [...STEPS, { kind: 'broken', because: 'not JSON' }],
    want: [],
    state: 'serving',
  },
  { name: 'nothing brings it back after a failure', events: [LATE, GRANTED], want: [], state: 'failed' },
]

for (const { name, events, want, state } of ROWS)
  test(name, (t) => {
    let at: SuccessorState = { kind: 'calling' }
    let effects: readonly SuccessorEffect[] = []
    for (const event of events) ({ state: at, effects } = stepSuccessor(at, event))
    t.deepEqual(effects.map(text), want)
    t.is(at.kind, state)
  })

function text(effect: SuccessorEffect): string {
  switch (effect.kind) {
    case 'tell':
      return `tell ${effect.message}`
    case 'arm':
      return `arm ${effect.delayMs}`
    case 'report':
      return `report ${effect.report.connections}`
    case 'fail':
      return `fail ${effect.because.kind}`
    case 'keep':
    case 'prepare':
    case 'accept':
    case 'disarm':
      return effect.kind
  }
}
