import test from 'ava'
import * as fc from 'fast-check'
import type { ConnectDecision, Decision } from '#agent/proxy/decision/decide.ts'
import {
  ACCEPTED,
  step,
  type Effect,
  type SessionEvent,
  type SessionState,
} from '#agent/proxy/session-state.ts'
import { candidate, connectDecision } from './views.ts'

const A = candidate('10.0.0.1:80')
const B = candidate('10.0.0.2:80')

function connect(...candidates: ConnectDecision['candidates']): ConnectDecision {
  return connectDecision(candidates, { attemptTimeoutMs: 1_000, deadlineMs: 3_000 })
}

const decided = (decision: Decision, atMs = 0): SessionEvent => ({ kind: 'decided', decision, atMs })
const connected = (attempt: number): SessionEvent => ({ kind: 'connected', attempt })
const failed = (attempt: number, atMs: number, code = 'ECONNREFUSED'): SessionEvent => ({
  kind: 'connectFailed',
  attempt,
  code,
  atMs,
})

interface Row {
  readonly name: string
  readonly events: readonly SessionEvent[]
  readonly want: readonly string[]
  readonly state: string
}

const ROWS: readonly Row[] = [
  {
    name: 'a connection is relayed, closes from both sides and ends',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'sideClosed', by: 'client' },
      { kind: 'sideClosed', by: 'endpoint' },
      { kind: 'pumpEnded', end: 'closed' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'relay 10.0.0.1', 'record relayed'],
    state: 'ended',
  },
  {
    name: 'a refused attempt goes on to the next candidate, the last one gets the time left',
    events: [decided(connect(A, B)), failed(1, 20), connected(2)],
    want: ['connect 1 10.0.0.1 1000', 'connect 2 10.0.0.2 2980', 'relay 10.0.0.2'],
    state: 'relaying',
  },
  {
    name: 'when all candidates fail the client gets a reset',
    events: [decided(connect(A, B)), failed(1, 20), failed(2, 30)],
    want: ['connect 1 10.0.0.1 1000', 'connect 2 10.0.0.2 2980', 'resetClient', 'record unreachable'],
    state: 'ended',
  },
  {
    name: 'when time runs out no further candidate is tried',
    events: [decided(connect(A, B)), failed(1, 3_000, 'ETIMEDOUT')],
    want: ['connect 1 10.0.0.1 1000', 'resetClient', 'record deadline'],
    state: 'ended',
  },
  {
    name: 'an attempt never outlives the deadline',
    events: [decided(connect(A, B, A)), failed(1, 2_500)],
    want: ['connect 1 10.0.0.1 1000', 'connect 2 10.0.0.2 500'],
    state: 'connecting',
  },
  {
    name: 'a client that goes away cancels the attempt',
    events: [decided(connect(A)), { kind: 'clientGone' }],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'record client-gone'],
    state: 'ended',
  },
  {
    name: 'an endpoint that answers after the client left is dropped',
    events: [decided(connect(A)), { kind: 'clientGone' }, connected(1)],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'record client-gone', 'dropEndpoint'],
    state: 'ended',
  },
  {
    name: 'an endpoint that answers after its attempt was given up is dropped',
    events: [decided(connect(A, B)), failed(1, 1_000, 'ETIMEDOUT'), connected(1)],
    want: ['connect 1 10.0.0.1 1000', 'connect 2 10.0.0.2 2000', 'dropEndpoint'],
    state: 'connecting',
  },
  {
    name: 'the failure of a former attempt changes nothing',
    events: [decided(connect(A, B)), failed(1, 10), failed(1, 20)],
    want: ['connect 1 10.0.0.1 1000', 'connect 2 10.0.0.2 2990'],
    state: 'connecting',
  },
  {
    name: 'a refusal resets',
    events: [decided({ kind: 'refuse', because: 'direct', how: 'reset', why: [] })],
    want: ['resetClient', 'record refused'],
    state: 'ended',
  },
  {
    name: 'a self-test is answered',
    events: [decided({ kind: 'selftest' })],
    want: ['answerSelfTest', 'record selftest'],
    state: 'ended',
  },
  {
    name: 'one side closes',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'sideClosed', by: 'client' },
      { kind: 'sideClosed', by: 'client' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'relay 10.0.0.1'],
    state: 'halfClosed',
  },
  {
    name: 'both sides close',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'sideClosed', by: 'endpoint' },
      { kind: 'sideClosed', by: 'client' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'relay 10.0.0.1'],
    state: 'closing',
  },
  {
    name: 'stopping while connecting',
    events: [decided(connect(A)), { kind: 'stop' }],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'resetClient', 'record stopped'],
    state: 'ended',
  },
  {
    name: 'stopping while relaying waits for the pump',
    events: [decided(connect(A)), connected(1), { kind: 'stop' }, { kind: 'pumpEnded', end: 'aborted' }],
    want: ['connect 1 10.0.0.1 3000', 'relay 10.0.0.1', 'abortPump', 'record relayed'],
    state: 'ended',
  },
]

for (const row of ROWS)
  test(row.name, (t) => {
    const run = play(row.events)
    t.deepEqual(run.effects.map(summary), row.want)
    t.is(run.state.kind, row.state as SessionState['kind'])
  })

const anyEvent: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.record({
    kind: fc.constant('decided' as const),
    decision: fc.constantFrom<Decision>(
      connect(A),
      connect(A, B),
      connect(A, B, A),
      { kind: 'selftest' },
      { kind: 'refuse', because: 'loop', how: 'reset', why: [] },
    ),
    atMs: fc.nat(4_000),
  }),
  fc.record({ kind: fc.constant('connected' as const), attempt: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('connectFailed' as const),
    attempt: fc.integer({ min: 1, max: 4 }),
    code: fc.constant('ECONNREFUSED'),
    atMs: fc.nat(4_000),
  }),
  fc.constant<SessionEvent>({ kind: 'clientGone' }),
  fc.record({
    kind: fc.constant('sideClosed' as const),
    by: fc.constantFrom('client' as const, 'endpoint' as const),
  }),
  fc.record({
    kind: fc.constant('pumpEnded' as const),
    end: fc.constantFrom('closed' as const, 'idle' as const),
  }),
  fc.constant<SessionEvent>({ kind: 'stop' }),
)

test('whatever happens: one record at most and only at the end, nothing after it but dropping late endpoints', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
      const { state, effects } = play(events)
      const records = effects.filter((effect) => effect.kind === 'record')
      t.is(records.length, state.kind === 'ended' ? 1 : 0)
      const after = effects.slice(effects.findIndex((effect) => effect.kind === 'record') + 1)
      if (records.length === 1) t.true(after.every((effect) => effect.kind === 'dropEndpoint'))
      // Every endpoint that answered is either relayed, once, or dropped.
      t.true(effects.filter((effect) => effect.kind === 'relay').length <= 1)
      const tries = effects.filter((effect) => effect.kind === 'connect')
      t.deepEqual(
        tries.map((effect) => effect.attempt),
        tries.map((_, i) => i + 1),
      )
    }),
    { numRuns: 2_000 },
  )
})

test('from every state a stop, and the end of the pump it asks for, end the connection', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
      const { state } = play([...events, { kind: 'stop' }, { kind: 'pumpEnded', end: 'aborted' }])
      t.is(state.kind, 'ended')
    }),
    { numRuns: 1_000 },
  )
})

test('an answer of an endpoint is never lost: it is relayed or dropped', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), fc.integer({ min: 1, max: 4 }), (events, attempt) => {
      const { state } = play(events)
      if (state.kind === 'accepted') return
      const { effects } = step(state, { kind: 'connected', attempt })
      t.is(effects.length, 1)
      t.true(effects[0]?.kind === 'relay' || effects[0]?.kind === 'dropEndpoint')
    }),
    { numRuns: 1_000 },
  )
})

function play(events: readonly SessionEvent[]): {
  readonly state: SessionState
  readonly effects: readonly Effect[]
} {
  let state: SessionState = ACCEPTED
  const effects: Effect[] = []
  for (const event of events) {
    const next = step(state, event)
    state = next.state
    effects.push(...next.effects)
  }
  return { state, effects }
}

function summary(effect: Effect): string {
  switch (effect.kind) {
    case 'connect':
      return `connect ${effect.attempt} ${effect.endpoint.ip} ${effect.timeoutMs}`
    case 'relay':
      return `relay ${effect.endpoint.ip}`
    case 'record':
      return `record ${effect.reason.kind}`
    case 'cancelConnect':
    case 'dropEndpoint':
    case 'answerSelfTest':
    case 'resetClient':
    case 'abortPump':
      return effect.kind
  }
}
