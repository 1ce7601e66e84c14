import test from 'ava'
import { HANDOVER_VERSION, type Hello, type SuccessorMessage } from '#agent/proxy/handover/messages.ts'
import {
  stepPredecessor,
  type PredecessorEffect,
  type PredecessorEvent,
  type PredecessorState,
} from '#agent/proxy/handover/predecessor-state.ts'

const said = (by: number, message: Exclude<SuccessorMessage, Hello>): PredecessorEvent => ({
  kind: 'said',
  by,
  message,
})
const hello = (by: number, version = HANDOVER_VERSION, here = true): PredecessorEvent => ({
  kind: 'greeted',
  by,
  hello: { kind: 'hello', version, pid: 100 + by, netns: 5 },
  here,
})
const RECEIVED = said(1, { kind: 'received' })
const READY = said(1, { kind: 'ready' })
const SERVING = said(1, { kind: 'serving' })
const GONE: PredecessorEvent = { kind: 'gone', by: 1 }
const LATE: PredecessorEvent = { kind: 'late' }
const STOP: PredecessorEvent = { kind: 'stop' }

interface Row {
  readonly name: string
  readonly events: readonly PredecessorEvent[]
  /** What the last event led to. */
  readonly want: readonly string[]
  readonly state: PredecessorState['kind']
}

const ROWS: readonly Row[] = [
  { name: 'a hello is granted', events: [hello(1)], want: ['grant 1', 'arm 30000'], state: 'handing' },
  {
    name: 'a successor of another version is refused, and the next one is not',
    events: [hello(1, 99)],
    want: ['refuse 1 version'],
    state: 'serving',
  },
  {
    name: 'a successor in another network namespace is refused',
    events: [hello(1, HANDOVER_VERSION, false)],
    want: ['refuse 1 netns'],
    state: 'serving',
  },
  {
    name: 'a second successor is refused while the first takes over',
    events: [hello(1), RECEIVED, hello(2)],
    want: ['refuse 2 busy'],
    state: 'handing',
  },
  {
    name: 'who has the sockets is told the state',
    events: [hello(1), RECEIVED],
    want: ['describe 1'],
    state: 'handing',
  },
  {
    name: 'who is ready is told to go',
    events: [hello(1), RECEIVED, READY],
    want: ['go 1', 'arm 10000'],
    state: 'handing',
  },
  {
    name: 'it retires when the successor serves, not before',
    events: [hello(1), RECEIVED, READY, SERVING],
    want: ['disarm', 'retire 1'],
    state: 'retired',
  },
  {
    name: 'one that skips a step is cancelled',
    events: [hello(1), RECEIVED, SERVING],
    want: ['cancel 1', 'disarm', 'failed 101'],
    state: 'serving',
  },
  {
    name: 'a successor that gives up leaves everything as it was',
    events: [hello(1), RECEIVED, said(1, { kind: 'failed', because: 'no memory' })],
    want: ['disarm', 'failed 101'],
    state: 'serving',
  },
  ...[[hello(1)], [hello(1), RECEIVED], [hello(1), RECEIVED, READY]].flatMap((steps): readonly Row[] => [
    {
      name: `a successor that dies after step ${steps.length} leaves everything as it was`,
      events: [...steps, GONE],
      want: ['disarm', 'failed 101'],
      state: 'serving',
    },
    {
      name: `a successor that hangs after step ${steps.length} is cancelled`,
      events: [...steps, LATE],
      want: ['cancel 1', 'disarm', 'failed 101'],
      state: 'serving',
    },
    {
      name: `after a failure at step ${steps.length} the next one is granted`,
      events: [...steps, GONE, hello(2)],
      want: ['grant 2', 'arm 30000'],
      state: 'handing',
    },
    {
      name: `a second successor that goes away at step ${steps.length} disturbs nobody`,
      events: [...steps, hello(2), { kind: 'gone', by: 2 }],
      want: [],
      state: 'handing',
    },
  ]),
  {
    name: 'told to stop while a successor prepares: it is told that there will be no hand-over',
    events: [hello(1), RECEIVED, STOP],
    want: ['cancel 1', 'disarm', 'failed 101'],
    state: 'stopping',
  },
  {
    name: 'told to stop after it said go: the successor takes over',
    events: [hello(1), RECEIVED, READY, STOP],
    want: ['disarm', 'retire 1'],
    state: 'retired',
  },
  {
    name: 'nobody takes over from one that stops',
    events: [STOP, hello(1)],
    want: ['refuse 1 stopping'],
    state: 'stopping',
  },
  {
    name: 'nobody takes over from one that has handed over',
    events: [hello(1), RECEIVED, READY, SERVING, hello(2)],
    want: ['refuse 2 stopping'],
    state: 'retired',
  },
  {
    name: 'the death of its successor does not bring it back',
    events: [hello(1), RECEIVED, READY, SERVING, GONE],
    want: [],
    state: 'retired',
  },
  {
    name: 'who says no hello is sent away',
    events: [RECEIVED],
    want: ['cancel 1'],
    state: 'serving',
  },
  {
    name: 'nonsense from the successor ends the hand-over',
    events: [hello(1), { kind: 'broken', by: 1, because: 'not JSON' }],
    want: ['cancel 1', 'disarm', 'failed 101'],
    state: 'serving',
  },
  {
    name: 'nonsense from somebody else does not',
    events: [hello(1), { kind: 'broken', by: 2, because: 'not JSON' }],
    want: ['cancel 2'],
    state: 'handing',
  },
]

for (const { name, events, want, state } of ROWS)
  test(name, (t) => {
    let at: PredecessorState = { kind: 'serving' }
    let effects: readonly PredecessorEffect[] = []
    for (const event of events) ({ state: at, effects } = stepPredecessor(at, event))
    t.deepEqual(effects.map(text), want)
    t.is(at.kind, state)
  })

function text(effect: PredecessorEffect): string {
  switch (effect.kind) {
    case 'arm':
      return `arm ${effect.delayMs}`
    case 'refuse':
      return `refuse ${effect.to} ${effect.because}`
    case 'failed':
      return `failed ${effect.pid}`
    case 'disarm':
      return 'disarm'
    case 'grant':
    case 'describe':
    case 'go':
    case 'cancel':
    case 'retire':
      return `${effect.kind} ${effect.to}`
  }
}
