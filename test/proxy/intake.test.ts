// The life of a connection between engine and decisions, told as stories; and that every one ends in one record.

import { PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import test from 'ava'
import type { Cidr } from '#agent/model/cidr.ts'
import { DEFAULT_CONNECTION_POLICY, DEFAULT_OUTLIER_POLICY } from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { UPSTREAM_MARK } from '#agent/model/steering-names.ts'
import { recordOf } from '#agent/proxy/connection-record.ts'
import { readProxyHeader, writeProxyHeader } from '#agent/proxy/decision/proxy-protocol.ts'
import { realHello } from '../support/tls-hello.ts'
import { CLIENT, policyOf, startIntake, STEERED, viewOf } from './intake-lab.ts'
import { endpoint, frontend, service, view, WEB } from './views.ts'

const { connect: CONNECT } = DEFAULT_CONNECTION_POLICY
const LEG = { rttUs: 50, rttVarianceUs: 5, retransmits: 2, lost: 0 }

test('a connection is accepted, connected, relayed, closed, and recorded once', (t) => {
  const lab = startIntake()
  const id = lab.engine.accept(CLIENT, STEERED)
  t.like(lab.verdict(id), {
    mark: UPSTREAM_MARK,
    attemptTimeoutMs: CONNECT.attemptTimeoutMs,
    deadlineMs: CONNECT.deadlineMs,
    skipBytes: 0,
    limits: DEFAULT_CONNECTION_POLICY.timeouts,
  })
  t.false('prefix' in lab.verdict(id))
  t.deepEqual(lab.candidates(id), ['10.244.1.2:8080'])
  lab.engine.events.connected(id, 0, 250)
  lab.engine.end(id, 'closed', {
    bytes: { fromClient: 10, fromEndpoint: 2_000 },
    durationUs: 5_500_000,
    client: LEG,
    endpoint: { ...LEG, rttUs: 9 },
  })
  t.is(lab.records.length, 1)
  t.like(lab.records[0], {
    id: 1,
    worker: 0,
    client: CLIENT,
    peer: null,
    originalDestination: STEERED,
    clientKind: 'pod',
    service: WEB,
    frontend: '10.96.0.10|80',
    endpoint: '10.244.1.2:8080',
    attempts: [{ endpoint: '10.244.1.2:8080', result: 'connected', durationMs: 0.25 }],
    state: 'ended',
    ended: 'closed',
    fromClientBytes: 10,
    fromEndpointBytes: 2_000,
    durationMs: 5_500,
    tcp: { client: LEG, endpoint: { ...LEG, rttUs: 9 } },
  })
  t.deepEqual(lab.records[0]?.decidedBy?.why, [
    'frontend ClusterIP 10.96.0.10|80',
    'client pod',
    'pool cluster of 1',
    'Random',
  ])
  t.is(lab.table.ended().length, 1)
  t.deepEqual(lab.sum(), { accepted: 1, ended: 1, open: 0 })
  t.is(lab.traffic.of(WEB).open, 0)
  t.true(lab.traffic.of(WEB).idle)
  const text = lab.metrics.text()
  t.regex(text, /^shunt_proxy_connection_seconds_sum\{service="default\/web\/TCP"\} 5.5$/m)
  t.regex(text, /^shunt_proxy_connect_seconds_bucket\{service="default\/web\/TCP",le="0.0004"\} 1$/m)
})

test('a candidate that fails is recorded, the next one takes it', (t) => {
  const lab = startIntake({ endpoints: ['10.244.1.2:8080', '10.244.2.3:8080'] })
  const id = lab.engine.accept(CLIENT, STEERED)
  const [first = '', second = ''] = lab.candidates(id)
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 120)
  t.deepEqual(
    live(lab).attempts.map(({ result }) => result),
    ['ECONNREFUSED', 'connecting'],
  )
  lab.engine.events.connected(id, 1, 90)
  lab.engine.end(id, 'reset-by-endpoint')
  t.deepEqual(
    lab.records[0]?.attempts.map((each) => [each.endpoint, each.result]),
    [
      [first, 'ECONNREFUSED'],
      [second, 'connected'],
    ],
  )
  t.is(lab.metrics.value('shunt_proxy_connect_attempts_total', { service: WEB, result: 'ECONNREFUSED' }), 1)
  t.true(lab.traffic.of(WEB).idle)
})

test('when all candidates failed it waits with jitter and tries again, until the deadline', async (t) => {
  const lab = startIntake({ random: () => 0.5 })
  const id = lab.engine.accept(CLIENT, STEERED)
  let rounds = 0
  for (; rounds < 1_000 && lab.engine.verdict(id)?.kind === 'connect'; rounds++) {
    lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
    lab.engine.events.exhausted(id)
    const before = lab.engine.verdicts.length
    if (lab.engine.verdict(id)?.kind === 'refuse') break
    t.is(live(lab).state, 'waiting')
    await lab.clock.advance(CONNECT.backoff.maxMs)
    t.is(lab.engine.verdicts.length, before + 1)
    t.true(lab.verdict(id).deadlineMs < CONNECT.deadlineMs)
  }
  t.true(rounds >= 10_000 / CONNECT.backoff.maxMs - 1, `${rounds} rounds`)
  lab.engine.end(id, 'refused')
  t.is(lab.records[0]?.ended, 'deadline')
  t.is(lab.clock.pending, 0)
  t.is(lab.log.lines.filter(({ message }) => message === 'connection failed: deadline').length, 1)
  t.deepEqual(lab.sum(), { accepted: 1, ended: 1, open: 0 })
})

test('endpoints beyond one verdict come in the next, at once, before anybody waits', (t) => {
  const endpoints = Array.from({ length: 8 }, (_, i) => `10.244.1.${i + 2}:8080`)
  const lab = startIntake({ endpoints, random: Math.random })
  const id = lab.engine.accept(CLIENT, STEERED)
  const first = lab.candidates(id)
  t.is(first.length, 6)
  for (const index of first.keys()) lab.engine.events.attemptFailed(id, index, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(id)
  const rest = lab.candidates(id)
  t.deepEqual([...first, ...rest].toSorted(), endpoints.toSorted())
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.connected(id, 1, 100)
  lab.engine.end(id, 'closed')
  t.is(lab.records[0]?.endpoint, rest[1])
  t.is(lab.records[0]?.attempts.length, 8)
  t.true(lab.traffic.of(WEB).idle)
})

test('the budget ends further attempts of a Service whose endpoints are all gone', async (t) => {
  const lab = startIntake({
    policy: { connect: { ...CONNECT, retryBudget: { percent: 0, minPerSecond: 0 } } },
  })
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(id)
  t.deepEqual(lab.engine.verdict(id), { kind: 'refuse' })
  lab.engine.end(id, 'refused')
  t.is(lab.records[0]?.ended, 'budget')
  t.is(lab.metrics.value('shunt_proxy_retries_total', { service: WEB, result: 'budget' }), 1)
})

test('a client that goes away while attempts wait ends it there and then', async (t) => {
  const lab = startIntake()
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(id)
  lab.engine.end(id, 'client-gone')
  t.is(lab.records[0]?.ended, 'client-gone')
  t.is(lab.clock.pending, 0)
  const verdicts = lab.engine.verdicts.length
  await lab.clock.advance(10_000)
  t.is(lab.engine.verdicts.length, verdicts)
  t.deepEqual(lab.sum(), { accepted: 1, ended: 1, open: 0 })
})

test('a client that goes away during an attempt leaves nobody to blame', (t) => {
  const lab = startIntake({ policy: { outlier: { ...DEFAULT_OUTLIER_POLICY, consecutiveFailures: 1 } } })
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.end(id, 'client-gone')
  t.deepEqual(
    lab.records[0]?.attempts.map(({ result }) => result),
    ['cancelled'],
  )
  t.true(lab.traffic.of(WEB).idle)
  t.is(lab.traffic.of(WEB).ejected(lab.clock.monotonicMs()).size, 0)
})

test('endpoints that refuse in a row are ejected, counted and said once', (t) => {
  const lab = startIntake({
    endpoints: ['10.244.1.2:8080', '10.244.2.3:8080'],
    policy: { outlier: { ...DEFAULT_OUTLIER_POLICY, consecutiveFailures: 2, maxEjectionPercent: 50 } },
    random: () => 0,
  })
  const bad = '10.244.1.2:8080'
  let ejected = 0
  for (let i = 0; i < 20; i++) {
    const id = lab.engine.accept(`10.244.1.7:${5000 + i}`, STEERED)
    const candidates = lab.candidates(id)
    if (!candidates.includes(bad)) ejected++
    const at = candidates.indexOf(bad)
    if (at === 0) lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
    lab.engine.events.connected(id, at === 0 ? 1 : 0, 100)
    lab.engine.end(id, 'closed')
  }
  t.is(ejected, 18)
  t.is(lab.metrics.value('shunt_proxy_ejections_total', { service: WEB }), 1)
  const warnings = lab.log.lines.filter(({ level }) => level === 'warn')
  t.is(warnings.length, 1)
  t.like(warnings[0]?.fields, { service: WEB, endpoint: bad, forMs: 30_000, times: 1 })
})

const REFUSALS = [
  { name: 'the proxy’s own port', destination: '192.168.0.10:15001', because: 'direct' },
  { name: 'an address that nobody serves', destination: '8.8.8.8:443', because: 'no-frontend' },
  { name: 'a destination the kernel does not know', destination: undefined, because: 'no-destination' },
] as const

for (const { name, destination, because } of REFUSALS)
  test(`${name}: reset, counted each time, logged once`, (t) => {
    const lab = startIntake()
    for (let i = 0; i < 5; i++) {
      const id = lab.engine.accept(CLIENT, destination)
      t.deepEqual(lab.engine.verdict(id), { kind: 'refuse' })
      lab.engine.end(id, 'refused')
    }
    t.deepEqual(lab.journal.refusals(), { [because]: 5 })
    t.is(lab.metrics.value('shunt_proxy_refused_total', { reason: because }), 5)
    t.deepEqual(
      lab.log.lines
        .filter(({ level }) => level === 'info')
        .map(({ message, fields }) => [message, 'client' in fields && fields.client]),
      [[`connection refused: ${because}`, CLIENT]],
    )
    t.deepEqual(
      lab.records.map(({ ended }) => ended),
      Array.from({ length: 5 }, () => `refused: ${because}`),
    )
    t.deepEqual(lab.sum(), { accepted: 5, ended: 5, open: 0 })
  })

test('no more than allowed are open; what is being reset does not count, and room that is freed is used again', (t) => {
  const lab = startIntake({ maxConnections: 2 })
  const ids = [1, 2].map((port) => lab.engine.accept(`10.244.1.7:${port}`, STEERED))
  const refused = [3, 4, 5].map((port) => lab.engine.accept(`10.244.1.7:${port}`, STEERED))
  t.deepEqual(lab.journal.refusals(), { overload: 3 })
  lab.engine.end(ids[0] ?? 0, 'client-gone')
  const next = lab.engine.accept('10.244.1.7:6', STEERED)
  t.is(lab.engine.verdict(next)?.kind, 'connect')
  for (const id of refused) lab.engine.end(id, 'refused')
  t.deepEqual(lab.sum(), { accepted: 6, ended: 4, open: 2 })
})

test('limits of a Service are exact, count what connects, and tell which limit', (t) => {
  const lab = startIntake({
    policy: { limits: { maxConnections: 3, maxConnectionsPerClient: 2, fair: false } },
  })
  const a = [1, 2, 3].map((port) => lab.engine.accept(`10.244.1.7:${port}`, STEERED))
  const b = [1, 2].map((port) => lab.engine.accept(`10.244.1.8:${port}`, STEERED))
  t.deepEqual(lab.journal.refusals(), { 'client-limit': 1, limit: 1 })
  t.is(lab.metrics.value('shunt_proxy_limit_refusals_total', { service: WEB, limit: 'client' }), 1)
  t.is(lab.metrics.value('shunt_proxy_limit_refusals_total', { service: WEB, limit: 'connections' }), 1)
  for (const id of [...a, ...b]) lab.engine.end(id, 'closed')
  const refused = lab.records.filter(({ ended }) => ended?.startsWith('refused'))
  t.deepEqual(
    refused.map(({ decidedBy }) => decidedBy?.why.at(-1)),
    ['the client is at maxConnectionsPerClient 2', 'maxConnections 3 are open'],
  )
  t.is(lab.traffic.of(WEB).open, 0)
  t.is(lab.engine.verdict(lab.engine.accept(CLIENT, STEERED))?.kind, 'connect')
})

test('a client keeps its endpoint, also while the first connection still connects', (t) => {
  const lab = startIntake({
    endpoints: ['10.244.1.2:8080', '10.244.2.3:8080', '10.244.3.4:8080'],
    service: { affinitySeconds: 60 },
    random: Math.random,
  })
  const [first] = lab.candidates(lab.engine.accept('10.244.1.7:1', STEERED))
  for (let port = 2; port < 40; port++)
    t.is(lab.candidates(lab.engine.accept(`10.244.1.7:${port}`, STEERED))[0], first)
  // Who took it in the end is remembered.
  const id = lab.engine.accept('10.244.1.7:50', STEERED)
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.connected(id, 1, 100)
  const second = lab.candidates(id)[1]
  t.is(lab.candidates(lab.engine.accept('10.244.1.7:51', STEERED))[0], second)
})

test('a self-test is answered over its socket and leaves no record', (t) => {
  const lab = startIntake()
  const id = lab.engine.accept('192.168.0.10:5000', '169.254.53.90:15009')
  t.deepEqual(lab.engine.verdict(id), { kind: 'handOver' })
  const socket = new PassThrough()
  lab.engine.events.handedOver(id, socket as unknown as Socket)
  t.is(String(socket.read()), 'hello\n')
  t.deepEqual(lab.records, [])
  t.deepEqual(lab.table.ended(), [])
  t.deepEqual(lab.sum(), { accepted: 1, ended: 1, open: 0 })
})

test('the endpoint hears who the client is, where the policy says so', (t) => {
  const lab = startIntake({ policy: { proxyProtocol: { send: 'v2', acceptFrom: [] } } })
  const { prefix = new Uint8Array(0) } = lab.verdict(lab.engine.accept(CLIENT, STEERED))
  t.like(readProxyHeader(prefix), {
    kind: 'header',
    client: endpointOf(CLIENT),
    destination: endpointOf(STEERED),
  })
})

test('a trusted source’s header names the client for everything, and is skipped', (t) => {
  const lab = trusting({ maxConnectionsPerClient: 1, fair: false })
  const header = writeProxyHeader(endpointOf('203.0.113.9:4711'), endpointOf('198.51.100.1:443'))
  const id = lab.engine.accept('192.168.0.77:5000', STEERED)
  t.like(lab.engine.verdict(id), { kind: 'peek', atLeastBytes: 1 })
  lab.engine.firstBytes = header.subarray(0, 10)
  lab.engine.events.readable(id, 10, false)
  t.like(lab.engine.verdict(id), { kind: 'peek', atLeastBytes: 16 })
  lab.engine.firstBytes = Uint8Array.from([...header, 1, 2, 3])
  lab.engine.events.readable(id, header.length + 3, false)
  t.is(lab.verdict(id).skipBytes, header.length)
  lab.engine.events.connected(id, 0, 100)
  t.like(live(lab), { client: '203.0.113.9:4711', peer: '192.168.0.77:5000' })
  // The limit is the client's, not the load balancer's.
  const again = lab.engine.accept('192.168.0.77:5001', STEERED)
  lab.engine.events.readable(again, header.length, false)
  t.deepEqual(lab.engine.verdict(again), { kind: 'refuse' })
  t.deepEqual(lab.journal.refusals(), { 'client-limit': 1 })
  lab.engine.end(id, 'closed')
  lab.engine.end(again, 'refused')
  t.is(lab.traffic.of(WEB).clients, 0)
  t.is(lab.metrics.value('shunt_proxy_first_bytes_total', { looked_for: 'proxy-header', result: 'read' }), 2)
})

test('an urgent byte among the first bytes does not make it look for ever', (t) => {
  const lab = trusting({ fair: false })
  const id = lab.engine.accept('192.168.0.77:5000', STEERED)
  // The first three of many bytes that wait can be seen.
  lab.engine.firstBytes = writeProxyHeader(endpointOf(CLIENT), endpointOf(STEERED)).subarray(0, 3)
  lab.engine.events.readable(id, 100, false)
  t.is(lab.engine.verdict(id)?.kind, 'peek')
  lab.engine.events.readable(id, 100, false)
  t.not(lab.engine.verdict(id)?.kind, 'peek')
  t.is(
    lab.metrics.value('shunt_proxy_first_bytes_total', { looked_for: 'proxy-header', result: 'incomplete' }),
    1,
  )
})

const WITHOUT_HEADER = [
  {
    name: 'sends something else',
    bytes: Buffer.from('GET / HTTP/1.1\r\n'),
    over: false,
    result: 'malformed',
    because: /it does not begin with a PROXY header$/,
  },
  {
    name: 'sends a header of version 1',
    bytes: Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 5000 80\r\n'),
    over: false,
    result: 'malformed',
    because: /version 1 \(text\); have the sender write version 2$/,
  },
  {
    name: 'falls silent',
    bytes: Buffer.alloc(0),
    over: true,
    result: 'incomplete',
    because: /no more bytes came in time$/,
  },
  {
    name: 'stops in the middle of its header',
    bytes: Buffer.from('\r\n\r\n\0\r\nQUIT'),
    over: true,
    result: 'incomplete',
    because: /no more bytes came in time$/,
  },
] as const

for (const { name, bytes, over, result, because } of WITHOUT_HEADER)
  test(`a trusted source that ${name} is refused and counted`, (t) => {
    const lab = trusting()
    const id = lab.engine.accept('192.168.0.77:5000', STEERED)
    lab.engine.firstBytes = bytes
    lab.engine.events.readable(id, bytes.length, over)
    t.deepEqual(lab.engine.verdict(id), { kind: 'refuse' })
    t.deepEqual(lab.journal.refusals(), { 'no-proxy-header': 1 })
    t.is(lab.metrics.value('shunt_proxy_first_bytes_total', { looked_for: 'proxy-header', result }), 1)
    lab.engine.end(id, 'refused')
    t.regex(lab.records[0]?.decidedBy?.why.at(-1) ?? '', because)
    t.like(lab.records[0], { service: WEB, frontend: '10.96.0.10|80' })
  })

test('others are not looked at, whatever they send', (t) => {
  const lab = trusting()
  t.is(lab.engine.verdict(lab.engine.accept(CLIENT, STEERED))?.kind, 'connect')
})

test('a TLS client goes where its server name belongs', async (t) => {
  const API = 'default/api/TCP' as ServicePortKey
  const lab = startIntake({
    view: view({
      frontends: { '10.96.0.10|80': frontend() },
      services: {
        [WEB]: service(['10.244.1.2:8080'], {
          tlsRoutes: [
            {
              route: 'default/api',
              hostname: 'api.example.com',
              backends: [{ service: API, pool: 'cluster', weight: 1 }],
            },
          ],
        }),
        [API]: service(['10.244.9.9:8443'], { key: API }),
      },
    }),
  })
  const hello = await realHello({ servername: 'api.example.com' })
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.firstBytes = hello.subarray(0, 20)
  lab.engine.events.readable(id, 20, false)
  t.is(lab.engine.verdict(id)?.kind, 'peek')
  lab.engine.firstBytes = hello
  lab.engine.events.readable(id, hello.length, false)
  t.deepEqual(lab.candidates(id), ['10.244.9.9:8443'])
  t.is(lab.verdict(id).skipBytes, 0)
  lab.engine.events.connected(id, 0, 100)
  lab.engine.end(id, 'closed')
  t.like(lab.records[0], { service: API, tlsRoute: 'default/api', serverName: 'api.example.com' })
  t.true(
    lab.records[0]?.decidedBy?.why.includes('TLSRoute default/api for api.example.com to default/api/TCP'),
  )

  const other = lab.engine.accept(CLIENT, STEERED)
  lab.engine.firstBytes = Buffer.from('hello, not TLS')
  lab.engine.events.readable(other, 14, false)
  t.deepEqual(lab.journal.refusals(), { 'no-route': 1 })
  lab.engine.end(other, 'refused')
  t.true(
    lab.records[1]?.decidedBy?.why.includes(
      'no server name: it begins with the byte 0x68, not with a TLS handshake record',
    ),
  )
})

test('endpoints that leave while a connection waits are not tried again', async (t) => {
  const lab = startIntake({ random: () => 0.5 })
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(id)
  lab.use(viewOf({ endpoints: ['10.244.5.5:8080'] }))
  await lab.clock.advance(1_000)
  t.deepEqual(lab.candidates(id), ['10.244.5.5:8080'])
  lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(id)
  lab.use(viewOf({ endpoints: [] }))
  await lab.clock.advance(1_000)
  t.deepEqual(lab.journal.refusals(), { 'no-endpoints': 1 })
  lab.engine.end(id, 'refused')
  t.true(lab.traffic.of(WEB).idle)
})

test('late news changes nothing', (t) => {
  const lab = startIntake()
  const id = lab.engine.accept(CLIENT, STEERED)
  lab.engine.events.connected(id, 0, 100)
  lab.engine.events.attemptFailed(id, 0, 'ETIMEDOUT', 100)
  lab.engine.events.exhausted(id)
  lab.engine.events.readable(id, 3, false)
  t.is(live(lab).state, 'relaying')
  lab.engine.end(id, 'closed')
  lab.engine.end(id, 'closed')
  lab.engine.events.connected(id, 0, 100)
  lab.engine.end(4711, 'closed')
  t.is(lab.records.length, 1)
  t.deepEqual(lab.sum(), { accepted: 1, ended: 1, open: 0 })
})

test('when a worker is lost each of its connections ends once, in whatever state it is', async (t) => {
  const lab = startIntake()
  const ids = [1, 2, 3, 4].map((port) => lab.engine.accept(`10.244.1.7:${port}`, STEERED))
  const [relaying = 0, , waiting = 0] = ids
  lab.engine.events.connected(relaying, 0, 100)
  lab.engine.moved.set(relaying, { fromClient: 7, fromEndpoint: 8 })
  lab.engine.events.attemptFailed(waiting, 0, 'ECONNREFUSED', 100)
  lab.engine.events.exhausted(waiting)
  lab.engine.accept(CLIENT, undefined)
  lab.intake.lose(lab.worker)
  t.deepEqual(
    lab.records.map(({ ended }) => ended),
    Array.from({ length: 5 }, () => 'worker-lost'),
  )
  t.like(lab.records[0], { fromClientBytes: 7, fromEndpointBytes: 8 })
  t.is(lab.clock.pending, 0)
  t.is(lab.traffic.of(WEB).open, 0)
  t.true(lab.traffic.of(WEB).idle)
  t.deepEqual(lab.sum(), { accepted: 5, ended: 5, open: 0 })
})

test('bytes of living connections are in the metrics, and never twice', (t) => {
  const lab = startIntake()
  const scrape = (): number | undefined => {
    lab.journal.publish(lab.metrics, lab.table, viewOf({}))
    return lab.metrics.value('shunt_proxy_bytes_total', { service: WEB, direction: 'from_client' })
  }
  const [a, b] = [lab.engine.accept('10.244.1.7:1', STEERED), lab.engine.accept('10.244.1.7:2', STEERED)]
  for (const id of [a, b]) lab.engine.events.connected(id, 0, 100)
  lab.engine.moved.set(a, { fromClient: 100, fromEndpoint: 0 })
  lab.engine.moved.set(b, { fromClient: 10, fromEndpoint: 0 })
  t.is(scrape(), 110)
  t.is(scrape(), 110)
  lab.engine.moved.set(a, { fromClient: 150, fromEndpoint: 0 })
  t.is(scrape(), 160)
  lab.engine.end(a, 'closed', { bytes: { fromClient: 200, fromEndpoint: 0 } })
  t.is(scrape(), 210)
  t.is(lab.metrics.value('shunt_proxy_connections_active'), 1)
})

test('a Service that left is forgotten by the metrics once its last connection ended', (t) => {
  const lab = startIntake()
  const id = lab.engine.accept(CLIENT, STEERED)
  const empty = view({ frontends: {}, services: {} })
  lab.use(empty)
  lab.journal.publish(lab.metrics, lab.table, empty)
  t.is(lab.metrics.value('shunt_proxy_connections_total', { service: WEB }), 1)
  lab.engine.end(id, 'closed')
  lab.journal.publish(lab.metrics, lab.table, empty)
  t.is(lab.metrics.value('shunt_proxy_connections_total', { service: WEB }), undefined)
})

test('after it was closed the intake refuses', (t) => {
  const lab = startIntake()
  lab.intake.close()
  lab.engine.accept(CLIENT, STEERED)
  t.deepEqual(lab.journal.refusals(), { draining: 1 })
})

test('a bug costs one connection: it is reset, said once, and recorded', (t) => {
  let bug = true
  const lab = startIntake({
    endpoints: ['10.244.1.2:8080', '10.244.2.3:8080'],
    random: () => {
      if (bug) throw new Error('a bug')
      return 0
    },
  })
  for (let i = 0; i < 3; i++) {
    const id = lab.engine.accept(CLIENT, STEERED)
    t.deepEqual(lab.engine.aborted.at(-1), id)
    lab.engine.end(id, 'aborted')
  }
  t.deepEqual(
    lab.log.lines.map(({ level, message }) => [level, message]),
    [['error', 'a bug was met; its connection is reset']],
  )
  bug = false
  t.is(lab.engine.verdict(lab.engine.accept(CLIENT, STEERED))?.kind, 'connect')
  t.deepEqual(lab.sum(), { accepted: 4, ended: 3, open: 1 })
})

test('accept that fails is counted and said once', (t) => {
  const lab = startIntake()
  for (let i = 0; i < 5; i++) lab.engine.events.acceptFailed('EMFILE', 2)
  t.deepEqual(lab.journal.refusals(), { 'accept EMFILE': 10 })
  t.is(lab.log.lines.length, 1)
})

function live(lab: ReturnType<typeof startIntake>) {
  const [connection] = lab.table.live()
  if (connection === undefined) throw new Error('no connection lives')
  return recordOf(connection, lab.clock)
}

function endpointOf(text: string) {
  const { ip, port } = endpoint(text)
  return { ip, port }
}

function trusting(limits: Partial<typeof DEFAULT_CONNECTION_POLICY.limits> = {}) {
  const policy = policyOf({
    proxyProtocol: { send: 'none', acceptFrom: ['192.168.0.64/26' as Cidr] },
    limits: { ...DEFAULT_CONNECTION_POLICY.limits, ...limits },
  })
  return startIntake({ policy })
}
