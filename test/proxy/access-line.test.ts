import test from 'ava'
import { accessFields, accessText } from '#agent/proxy/access-line.ts'
import type { ConnectionRecord } from '#agent/proxy/admin-shapes.ts'

const LEG = { rttUs: 120, rttVarianceUs: 10, retransmits: 0, lost: 0 }

const RELAYED: ConnectionRecord = {
  id: 7,
  worker: 1,
  client: '10.244.1.9:50000',
  peer: null,
  originalDestination: '10.96.0.10:80',
  clientKind: 'pod',
  service: 'default/web:http/TCP',
  frontend: '10.96.0.10|80',
  tlsRoute: null,
  serverName: null,
  endpoint: '10.244.2.6:8080',
  decidedBy: { epoch: 'e', generation: 42, why: ['client pod', 'Random'] },
  attempts: [{ endpoint: '10.244.2.6:8080', result: 'connected', durationMs: 0.312 }],
  state: 'ended',
  ended: 'closed',
  fromClientBytes: 120,
  fromEndpointBytes: 4_523,
  sinceMs: 0,
  durationMs: 12.4,
  tcp: { client: LEG, endpoint: LEG },
}

const REFUSED: ConnectionRecord = {
  ...RELAYED,
  service: null,
  frontend: null,
  endpoint: null,
  decidedBy: null,
  attempts: [],
  ended: 'refused: no-frontend',
  fromClientBytes: 0,
  fromEndpointBytes: 0,
  durationMs: 0.2,
  tcp: { client: null, endpoint: null },
}

const RETRIED: ConnectionRecord = {
  ...RELAYED,
  client: '198.51.100.7:4242',
  peer: '192.0.2.1:9999',
  attempts: [
    { endpoint: '10.244.1.5:8080', result: 'ECONNREFUSED', durationMs: 0.1 },
    { endpoint: '10.244.1.6:8080', result: 'ETIMEDOUT', durationMs: 2_000 },
    ...RELAYED.attempts,
  ],
}

test('a relayed connection has everything but what went well at once', (t) => {
  t.deepEqual(accessFields(RELAYED), {
    service: 'default/web:http/TCP',
    frontend: '10.96.0.10|80',
    client: '10.244.1.9:50000',
    destination: '10.96.0.10:80',
    endpoint: '10.244.2.6:8080',
    outcome: 'closed',
    fromClientBytes: 120,
    fromEndpointBytes: 4_523,
    connectMs: 0.312,
    durationMs: 12.4,
    epoch: 'e',
    generation: 42,
    why: ['client pod', 'Random'],
    worker: 1,
    clientTcp: LEG,
    endpointTcp: LEG,
  })
})

test('a refused connection has no field that would be empty', (t) => {
  t.deepEqual(accessFields(REFUSED), {
    client: '10.244.1.9:50000',
    destination: '10.96.0.10:80',
    outcome: 'refused: no-frontend',
    fromClientBytes: 0,
    fromEndpointBytes: 0,
    durationMs: 0.2,
    worker: 1,
  })
})

test('a connection that a TLSRoute sent somewhere tells the route and the name', (t) => {
  const routed = { ...RELAYED, tlsRoute: 'default/api', serverName: 'api.example.com' }
  t.like(accessFields(routed), { tlsRoute: 'default/api', serverName: 'api.example.com' })
})

test('attempts are told when one failed, and the peer when a PROXY header named the client', (t) => {
  const fields = accessFields(RETRIED)
  t.is(fields.peer, '192.0.2.1:9999')
  t.is(fields.connectMs, 0.312)
  t.deepEqual(fields.attempts, [
    '10.244.1.5:8080 ECONNREFUSED 0.1 ms',
    '10.244.1.6:8080 ETIMEDOUT 2.0 s',
    '10.244.2.6:8080 connected 0.3 ms',
  ])
})

const TEXTS: readonly (readonly [string, ConnectionRecord, string])[] = [
  [
    'relayed',
    RELAYED,
    'default/web:http/TCP  10.244.1.9:50000 → 10.244.2.6:8080  closed  120 B up, 4.5 kB down  in 12 ms (connected in 0.3 ms)',
  ],
  [
    'refused',
    REFUSED,
    'no Service  10.244.1.9:50000 → 10.96.0.10:80  refused: no-frontend  0 B up, 0 B down  in 0.2 ms',
  ],
  [
    'relayed at the third attempt, behind a load balancer',
    RETRIED,
    'default/web:http/TCP  198.51.100.7:4242 (through 192.0.2.1:9999) → 10.244.2.6:8080  closed  120 B up, 4.5 kB down  ' +
      'in 12 ms (connected in 0.3 ms)  after 10.244.1.5:8080 ECONNREFUSED 0.1 ms, 10.244.1.6:8080 ETIMEDOUT 2.0 s',
  ],
]

for (const [title, record, want] of TEXTS)
  test(`a line for a person: ${title}`, (t) => t.is(accessText(record), want))
