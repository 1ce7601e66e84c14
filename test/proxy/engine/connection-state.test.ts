import test from 'ava'
import * as fc from 'fast-check'
import {
  ACCEPTED,
  step,
  type ConnectionEvent,
  type ConnectionState,
  type Effect,
} from '#agent/proxy/engine/connection-state.ts'
import type { SocketAddress, Verdict } from '#agent/proxy/engine/engine.ts'
import { ip } from '../views.ts'
import { connectTo } from './engine-lab.ts'

const A: SocketAddress = { ip: ip('10.0.0.1'), port: 80 }
const B: SocketAddress = { ip: ip('10.0.0.2'), port: 80 }

const connect = (...candidates: SocketAddress[]): Verdict =>
  connectTo(candidates, { attemptTimeoutMs: 1_000, deadlineMs: 3_000 })
const PEEK: Verdict = { kind: 'peek', atLeastBytes: 16, timeoutMs: 500 }
const decided = (verdict: Verdict, atMs = 0): ConnectionEvent => ({ kind: 'verdict', verdict, atMs })
const connected = (attempt: number): ConnectionEvent => ({ kind: 'connected', attempt })
const failed = (attempt: number, atMs: number, code = 'ECONNREFUSED'): ConnectionEvent => ({
  kind: 'connectFailed',
  attempt,
  code,
  atMs,
})

interface Row {
  readonly name: string
  readonly events: readonly ConnectionEvent[]
  readonly want: readonly string[]
  readonly state: ConnectionState['kind']
}

const ROWS: readonly Row[] = [
  {
    name: 'a connection is relayed, closes from both sides and ends',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'sideClosed', by: 'client' },
      { kind: 'sideClosed', by: 'endpoint' },
      { kind: 'relayEnded', outcome: 'closed' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'tellConnected 0', 'relay', 'end closed'],
    state: 'ended',
  },
  {
    name: 'a refused attempt goes on to the next candidate, the last one gets the time left',
    events: [decided(connect(A, B)), failed(1, 20), connected(2)],
    want: [
      'connect 1 10.0.0.1 1000',
      'tellFailed 0 ECONNREFUSED',
      'connect 2 10.0.0.2 2980',
      'tellConnected 1',
      'relay',
    ],
    state: 'relaying',
  },
  {
    name: 'when all candidates failed, the client waits for another verdict',
    events: [decided(connect(A)), failed(1, 20)],
    want: ['connect 1 10.0.0.1 3000', 'tellFailed 0 ECONNREFUSED', 'tellExhausted'],
    state: 'deciding',
  },
  {
    name: 'a second verdict has candidates, attempts and a deadline of its own',
    events: [decided(connect(A)), failed(1, 20), decided(connect(B, A), 5_000), failed(2, 5_100)],
    want: [
      'connect 1 10.0.0.1 3000',
      'tellFailed 0 ECONNREFUSED',
      'tellExhausted',
      'connect 2 10.0.0.2 1000',
      'tellFailed 0 ECONNREFUSED',
      'connect 3 10.0.0.1 2900',
    ],
    state: 'connecting',
  },
  {
    name: 'when time runs out no further candidate is tried',
    events: [decided(connect(A, B)), failed(1, 3_000, 'ETIMEDOUT')],
    want: ['connect 1 10.0.0.1 1000', 'tellFailed 0 ETIMEDOUT', 'tellExhausted'],
    state: 'deciding',
  },
  {
    name: 'an attempt never outlives the deadline',
    events: [decided(connect(A, B, A)), failed(1, 2_500)],
    want: ['connect 1 10.0.0.1 1000', 'tellFailed 0 ECONNREFUSED', 'connect 2 10.0.0.2 500'],
    state: 'connecting',
  },
  {
    name: 'no candidate at all is exhausted at once',
    events: [decided(connect())],
    want: ['tellExhausted'],
    state: 'deciding',
  },
  {
    name: 'first bytes are waited for, then decided',
    events: [decided(PEEK), { kind: 'firstBytes', over: false }, decided(connect(A))],
    want: ['awaitFirstBytes 16 500', 'tellReadable', 'connect 1 10.0.0.1 3000'],
    state: 'connecting',
  },
  {
    name: 'a client that goes away while it is peeked at',
    events: [decided(PEEK), { kind: 'clientGone' }],
    want: ['awaitFirstBytes 16 500', 'cancelPeek', 'end client-gone'],
    state: 'ended',
  },
  {
    name: 'a client that goes away cancels the attempt',
    events: [decided(connect(A)), { kind: 'clientGone' }],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'end client-gone'],
    state: 'ended',
  },
  {
    name: 'an endpoint that answers after the client left is dropped',
    events: [decided(connect(A)), { kind: 'clientGone' }, connected(1)],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'end client-gone', 'dropEndpoint'],
    state: 'ended',
  },
  {
    name: 'an endpoint that answers after its attempt was given up is dropped',
    events: [decided(connect(A, B)), failed(1, 1_000, 'ETIMEDOUT'), connected(1)],
    want: ['connect 1 10.0.0.1 1000', 'tellFailed 0 ETIMEDOUT', 'connect 2 10.0.0.2 2000', 'dropEndpoint'],
    state: 'connecting',
  },
  {
    name: 'the failure of a former attempt changes nothing',
    events: [decided(connect(A, B)), failed(1, 10), failed(1, 20)],
    want: ['connect 1 10.0.0.1 1000', 'tellFailed 0 ECONNREFUSED', 'connect 2 10.0.0.2 2990'],
    state: 'connecting',
  },
  {
    name: 'a verdict that nobody waits for changes nothing',
    events: [decided(connect(A)), decided({ kind: 'refuse' }), connected(1), decided(PEEK)],
    want: ['connect 1 10.0.0.1 3000', 'tellConnected 0', 'relay'],
    state: 'relaying',
  },
  {
    name: 'a refusal resets',
    events: [decided({ kind: 'refuse' })],
    want: ['resetClient', 'end refused'],
    state: 'ended',
  },
  {
    name: 'what is handed over does not end here',
    events: [decided({ kind: 'handOver' }), { kind: 'clientGone' }, { kind: 'abort' }],
    want: ['handOver'],
    state: 'handedOver',
  },
  {
    name: 'one side closes',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'sideClosed', by: 'client' },
      { kind: 'sideClosed', by: 'client' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'tellConnected 0', 'relay'],
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
    want: ['connect 1 10.0.0.1 3000', 'tellConnected 0', 'relay'],
    state: 'closing',
  },
  {
    name: 'an abort while connecting',
    events: [decided(connect(A)), { kind: 'abort' }],
    want: ['connect 1 10.0.0.1 3000', 'cancelConnect', 'resetClient', 'end aborted'],
    state: 'ended',
  },
  {
    name: 'an abort while relaying waits for the relay',
    events: [
      decided(connect(A)),
      connected(1),
      { kind: 'abort' },
      { kind: 'relayEnded', outcome: 'aborted' },
    ],
    want: ['connect 1 10.0.0.1 3000', 'tellConnected 0', 'relay', 'abortRelay', 'end aborted'],
    state: 'ended',
  },
]

for (const row of ROWS)
  test(row.name, (t) => {
    const run = play(row.events)
    t.deepEqual(run.effects.map(summary), row.want)
    t.is(run.state.kind, row.state)
  })

const anyEvent: fc.Arbitrary<ConnectionEvent> = fc.oneof(
  fc.record({
    kind: fc.constant('verdict' as const),
    verdict: fc.constantFrom<Verdict>(
      connect(A),
      connect(A, B),
      connect(A, B, A),
      PEEK,
      { kind: 'handOver' },
      { kind: 'refuse' },
    ),
    atMs: fc.nat(4_000),
  }),
  fc.record({ kind: fc.constant('firstBytes' as const), over: fc.boolean() }),
  fc.record({ kind: fc.constant('connected' as const), attempt: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    kind: fc.constant('connectFailed' as const),
    attempt: fc.integer({ min: 1, max: 6 }),
    code: fc.constant('ECONNREFUSED'),
    atMs: fc.nat(4_000),
  }),
  fc.constant<ConnectionEvent>({ kind: 'clientGone' }),
  fc.record({
    kind: fc.constant('sideClosed' as const),
    by: fc.constantFrom('client' as const, 'endpoint' as const),
  }),
  fc.record({
    kind: fc.constant('relayEnded' as const),
    outcome: fc.constantFrom('closed' as const, 'idle' as const),
  }),
  fc.constant<ConnectionEvent>({ kind: 'abort' }),
)

const LAST = new Set<Effect['kind']>(['end', 'handOver'])

test('whatever happens: one end or hand-over and nothing after it but dropping late endpoints', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
      const { state, effects } = play(events)
      const over = state.kind === 'ended' || state.kind === 'handedOver'
      t.is(effects.filter((effect) => LAST.has(effect.kind)).length, over ? 1 : 0)
      const after = effects.slice(effects.findIndex((effect) => LAST.has(effect.kind)) + 1)
      if (over) t.true(after.every((effect) => effect.kind === 'dropEndpoint'))
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

test('from every state an abort, and the end of the relay it asks for, end the connection', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
      const { state } = play([...events, { kind: 'abort' }, { kind: 'relayEnded', outcome: 'aborted' }])
      t.true(state.kind === 'ended' || state.kind === 'handedOver')
    }),
    { numRuns: 1_000 },
  )
})

test('an answer of an endpoint is never lost: it is relayed or dropped', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), fc.integer({ min: 1, max: 6 }), (events, attempt) => {
      const { effects } = step(play(events).state, { kind: 'connected', attempt })
      t.is(effects.filter(({ kind }) => kind === 'relay' || kind === 'dropEndpoint').length, 1)
    }),
    { numRuns: 1_000 },
  )
})

test('every verdict that is waited for has an answer: readable, connected, exhausted, handed over or an end', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
      let state = ACCEPTED
      for (const event of events) {
        const next = step(state, event)
        // Whoever leaves the state in which it waits for a verdict does so because of one, or ends.
        if (state.kind === 'deciding' && next.state.kind !== 'deciding')
          t.true(event.kind === 'verdict' || next.state.kind === 'ended')
        // And whoever comes back has said why.
        if (state.kind !== 'deciding' && next.state.kind === 'deciding')
          t.true(next.effects.some(({ kind }) => kind === 'tellReadable' || kind === 'tellExhausted'))
        state = next.state
      }
    }),
    { numRuns: 1_000 },
  )
})

function play(events: readonly ConnectionEvent[]): {
  readonly state: ConnectionState
  readonly effects: readonly Effect[]
} {
  let state: ConnectionState = ACCEPTED
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
      return `connect ${effect.attempt} ${effect.candidate.ip} ${effect.timeoutMs}`
    case 'awaitFirstBytes':
      return `awaitFirstBytes ${effect.atLeastBytes} ${effect.timeoutMs}`
    case 'tellFailed':
      return `tellFailed ${effect.index} ${effect.code}`
    case 'tellConnected':
      return `tellConnected ${effect.index}`
    case 'end':
      return `end ${effect.outcome}`
    case 'cancelPeek':
    case 'tellReadable':
    case 'cancelConnect':
    case 'dropEndpoint':
    case 'tellExhausted':
    case 'relay':
    case 'abortRelay':
    case 'resetClient':
    case 'handOver':
      return effect.kind
  }
}
