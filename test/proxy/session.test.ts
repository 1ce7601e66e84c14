// Whole connections over loopback: accept, decide, connect, relay, end.

import test from 'ava'
import { createHash, randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { DEFAULT_PUMP_LIMITS } from '#agent/proxy/pump/pump.ts'
import type { Dialer } from '#agent/proxy/upstream.ts'
import { nodeDialer } from './node-dialer.ts'
import { readAll, refusingEndpoint, startEndpoint, startLab, until } from './lab.ts'
import { ip, WEB } from './views.ts'

const echo = (socket: Socket): void => void socket.pipe(socket)

test('a connection is relayed and recorded', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const lab = await startLab(t, { endpoints: [endpoint] })
  const client = lab.dial()
  client.end('hello')
  const { data, ending } = await readAll(client)
  t.is(data.toString(), 'hello')
  t.is(ending, 'end')
  await until(() => lab.sessions.size === 0, 'the session ends')
  const [record] = lab.sessions.recent()
  t.like(record, {
    originalDestination: '10.96.0.10:80',
    clientKind: 'host',
    service: WEB,
    frontend: '10.96.0.10|80',
    endpoint: `127.0.0.1:${endpoint.port}`,
    state: 'ended',
    ended: 'closed',
    fromClientBytes: 5,
    fromEndpointBytes: 5,
    decidedBy: {
      epoch: 'e1',
      generation: 1,
      why: ['frontend ClusterIP 10.96.0.10|80', 'client host', 'pool cluster of 1', 'Random'],
    },
  })
  t.is(record?.attempts[0]?.result, 'connected')
  t.is(lab.metrics.value('shunt_proxy_bytes_total', { service: WEB, direction: 'from_client' }), 5)
  t.is(lab.metrics.value('shunt_proxy_connections_total', { service: WEB }), 1)
  t.is(lab.metrics.value('shunt_proxy_connections_active'), 0)
})

test('a living connection is listed with its bytes so far', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const lab = await startLab(t, { endpoints: [endpoint] })
  const client = lab.dial()
  client.write('hello')
  await new Promise((resolve) => client.once('data', resolve))
  const [record] = lab.sessions.live()
  t.like(record, { state: 'relaying', ended: null, fromClientBytes: 5, fromEndpointBytes: 5 })
})

test('an end of the client arrives behind its last byte, and the answer still comes back', async (t) => {
  const sent = randomBytes(8 * 1024 * 1024)
  const { endpoint } = await startEndpoint(t, (socket) => {
    const hash = createHash('sha256')
    socket.on('data', (chunk: Buffer) => void hash.update(chunk))
    socket.once('end', () => void setTimeout(() => socket.end(hash.digest('hex')), 50))
  })
  const lab = await startLab(t, { endpoints: [endpoint] })
  const client = lab.dial()
  client.end(sent)
  const { data, ending } = await readAll(client)
  t.is(data.toString(), createHash('sha256').update(sent).digest('hex'))
  t.is(ending, 'end')
})

test('bytes that the client sends while the endpoint is being reached are not lost, nor is its end', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const bad = await refusingEndpoint()
  const lab = await startLab(t, { endpoints: [bad, bad, endpoint] })
  const client = lab.dial()
  client.end('early')
  const { data, ending } = await readAll(client)
  t.is(data.toString(), 'early')
  t.is(ending, 'end')
})

test('an end without a byte while the endpoint is being reached arrives, and the answer comes back', async (t) => {
  const { endpoint } = await startEndpoint(
    t,
    (socket) => void socket.resume().once('end', () => socket.end('bye')),
  )
  const bad = await refusingEndpoint()
  const lab = await startLab(t, { endpoints: [bad, bad, endpoint] })
  const client = lab.dial()
  client.end()
  t.is((await readAll(client)).data.toString(), 'bye')
})

test('a refused endpoint is followed by another one', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const bad = await refusingEndpoint()
  const lab = await startLab(t, { endpoints: [bad, endpoint], random: () => 0 })
  for (let i = 0; i < 20; i++) {
    const client = lab.dial()
    client.end('x')
    t.is((await readAll(client)).data.toString(), 'x')
  }
  t.is(lab.metrics.value('shunt_proxy_connect_attempts_total', { service: WEB, result: 'ECONNREFUSED' }), 20)
  t.is(lab.metrics.value('shunt_proxy_connect_attempts_total', { service: WEB, result: 'connected' }), 20)
  t.deepEqual(
    lab.sessions.recent()[0]?.attempts.map((each) => each.result),
    ['ECONNREFUSED', 'connected'],
  )
})

test('a black hole costs one attempt, then the next endpoint is tried', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const hole = { ip: ip('127.0.0.2'), port: 9, local: false }
  const lab = await startLab(t, { endpoints: [hole, endpoint], dialer: withHole(hole.port) })
  const start = performance.now()
  const client = lab.dial()
  client.end('x')
  t.is((await readAll(client)).data.toString(), 'x')
  const tookMs = performance.now() - start
  t.true(tookMs >= 190 && tookMs < 900, `${tookMs} ms`)
})

test('only black holes: reset at the deadline, logged once for many', async (t) => {
  const hole = { ip: ip('127.0.0.2'), port: 9, local: false }
  const lab = await startLab(t, {
    endpoints: [hole],
    dialer: withHole(hole.port),
    timeouts: { connectTimeoutMs: 50, deadlineMs: 300 },
  })
  const start = performance.now()
  const endings = await Promise.all([1, 2, 3].map(() => readAll(lab.dial())))
  t.deepEqual(
    endings.map(({ ending }) => ending),
    ['reset', 'reset', 'reset'],
  )
  t.true(performance.now() - start >= 290)
  await until(() => lab.sessions.size === 0, 'the sessions end')
  t.is(lab.log.lines.filter((line) => line.message.startsWith('connection failed')).length, 1)
  t.is(lab.metrics.value('shunt_proxy_connect_attempts_total', { service: WEB, result: 'ETIMEDOUT' }), 3)
})

test('a client that resets while the endpoint is being reached cancels the attempt', async (t) => {
  const hole = { ip: ip('127.0.0.2'), port: 9, local: false }
  const lab = await startLab(t, {
    endpoints: [hole],
    dialer: withHole(hole.port),
    timeouts: { connectTimeoutMs: 5_000, deadlineMs: 5_000 },
  })
  const client = lab.dial()
  client.write('x')
  await until(() => lab.sessions.size === 1, 'it is accepted')
  const start = performance.now()
  client.resetAndDestroy()
  await until(() => lab.sessions.size === 0, 'the session ends')
  t.true(performance.now() - start < 2_000)
  t.like(lab.sessions.recent()[0], { ended: 'client-gone' })
})

for (const [who, ending] of [
  ['endpoint', 'reset-by-endpoint'],
  ['client', 'reset-by-client'],
] as const)
  test(`a reset of the ${who} is passed on as a reset`, async (t) => {
    const { endpoint, sockets } = await startEndpoint(t, (socket) => void socket.write('hi'))
    const lab = await startLab(t, { endpoints: [endpoint] })
    const client = lab.dial()
    await new Promise((resolve) => client.once('data', resolve))
    const upstream = sockets[0]
    if (upstream === undefined) return t.fail('no connection arrived')
    const [from, to] = who === 'client' ? [client, upstream] : [upstream, client]
    const seen = readAll(to)
    from.resetAndDestroy()
    t.is((await seen).ending, 'reset')
    await until(() => lab.sessions.size === 0, 'the session ends')
    t.like(lab.sessions.recent()[0], { ended: ending })
  })

test('a slow reader slows the sender down, and memory stays bounded', async (t) => {
  const { endpoint, sockets } = await startEndpoint(t, (socket) => void socket.pause())
  const lab = await startLab(t, { endpoints: [endpoint] })
  const client = lab.dial()
  const chunk = Buffer.alloc(1024 * 1024)
  const total = 64
  for (let i = 0; i < total; i++) client.write(chunk)
  client.end()
  let last = -1
  await until(() => {
    const now = lab.sessions.live()[0]?.fromClientBytes ?? 0
    const settled = now > 0 && now === last
    last = now
    return settled
  }, 'the relay stops reading')
  await new Promise((resolve) => setTimeout(resolve, 200))
  // Socket buffers of the kernel on three legs, and one high-water mark; far from 64 MB.
  const held = lab.sessions.live()[0]?.fromClientBytes ?? 0
  t.true(held < 32 * 1024 * 1024, `${held} bytes were read`)
  const upstream = sockets[0]
  if (upstream === undefined) return t.fail('no connection arrived')
  upstream.resume()
  const { data } = await readAll(upstream)
  t.is(data.length, total * chunk.length)
})

test('a client that never sends, and an endpoint that never answers, are ended when silence lasts too long', async (t) => {
  const { endpoint } = await startEndpoint(t, () => {})
  const lab = await startLab(t, { endpoints: [endpoint], limits: { ...DEFAULT_PUMP_LIMITS, silentMs: 150 } })
  t.is((await readAll(lab.dial())).ending, 'reset')
  await until(() => lab.sessions.size === 0, 'the session ends')
  t.like(lab.sessions.recent()[0], { ended: 'silent' })
})

test('an endpoint that never answers is ended after the idle time, counted from the last byte', async (t) => {
  const { endpoint } = await startEndpoint(t, () => {})
  const lab = await startLab(t, {
    endpoints: [endpoint],
    limits: { idleMs: 250, halfClosedMs: 250, silentMs: 250 },
  })
  const client = lab.dial()
  const start = performance.now()
  for (const delayMs of [100, 200, 300]) setTimeout(() => client.write('x'), delayMs)
  t.is((await readAll(client)).ending, 'reset')
  const tookMs = performance.now() - start
  t.true(tookMs >= 540 && tookMs < 2_000, `${tookMs} ms`)
  await until(() => lab.sessions.size === 0, 'the session ends')
  t.like(lab.sessions.recent()[0], { ended: 'idle', fromClientBytes: 3 })
})

test('a half-closed connection has a shorter idle time', async (t) => {
  const { endpoint } = await startEndpoint(t, () => {})
  const lab = await startLab(t, {
    endpoints: [endpoint],
    limits: { ...DEFAULT_PUMP_LIMITS, halfClosedMs: 150 },
  })
  const client = lab.dial()
  client.end('x')
  t.is((await readAll(client)).ending, 'reset')
  await until(() => lab.sessions.size === 0, 'the session ends')
  t.like(lab.sessions.recent()[0], { ended: 'idle-half-closed' })
})

test('a stop resets what lives', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const lab = await startLab(t, { endpoints: [endpoint] })
  const client = lab.dial()
  client.write('x')
  await new Promise((resolve) => client.once('data', resolve))
  const seen = readAll(client)
  lab.sessions.stopAll()
  t.is((await seen).ending, 'reset')
  await lab.sessions.empty()
  t.like(lab.sessions.recent()[0], { ended: 'aborted' })
})

test('a self-test is answered and closed', async (t) => {
  const lab = await startLab(t, {
    endpoints: [],
    destination: { kind: 'known', ip: ip('169.254.53.90'), port: 15009 },
  })
  const client = lab.dial()
  const { data, ending } = await readAll(client)
  client.end()
  t.is(data.toString(), 'hello\n')
  t.is(ending, 'end')
  await until(() => lab.sessions.size === 0, 'the session ends')
})

test('affinity follows the endpoint that really took the connection', async (t) => {
  const { endpoint } = await startEndpoint(t, echo)
  const bad = await refusingEndpoint()
  const lab = await startLab(t, { endpoints: [bad, endpoint], affinitySeconds: 60 })
  for (let i = 0; i < 3; i++) {
    const client = lab.dial()
    client.end('x')
    t.is((await readAll(client)).data.toString(), 'x')
  }
  // The first connection meets the refusal, the others go where it ended up.
  t.is(lab.metrics.value('shunt_proxy_connect_attempts_total', { service: WEB, result: 'ECONNREFUSED' }), 1)
})

/** A dialer for which one port is a black hole: loopback has none, since it refuses or accepts. */
function withHole(port: number): Dialer {
  const real = nodeDialer()
  return {
    ...real,
    dial(endpoint, timeoutMs, done) {
      if (endpoint.port !== port) return real.dial(endpoint, timeoutMs, done)
      const timer = setTimeout(() => done({ kind: 'failed', code: 'ETIMEDOUT' }), timeoutMs)
      return () => clearTimeout(timer)
    },
  }
}
