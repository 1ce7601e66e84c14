// What must be bounded, logged and counted: connections that the proxy should not have got.

import test, { type ExecutionContext } from 'ava'
import type { Destination } from '#agent/proxy/intake.ts'
import { readAll, startEndpoint, startLab, until } from './lab.ts'
import { endpoint, ip } from './views.ts'

interface Row {
  readonly name: string
  readonly destination: Destination
  readonly reason: string
}

const ROWS: readonly Row[] = [
  { name: 'a connection straight to the proxy', destination: known('127.0.0.1', 15001), reason: 'direct' },
  {
    name: 'a spoofed mark: an address that nobody serves',
    destination: known('8.8.8.8', 443),
    reason: 'no-frontend',
  },
  {
    name: 'a connection whose destination the kernel does not know',
    destination: { kind: 'unknown', because: 'conntrack has no entry' },
    reason: 'no-destination',
  },
  { name: 'a Service without endpoints', destination: known('10.96.0.10', 80), reason: 'no-endpoints' },
]

for (const row of ROWS)
  test(`${row.name}: reset, counted each time, logged once`, async (t) => {
    const lab = await startLab(t, { endpoints: [], destination: row.destination })
    for (let i = 0; i < 5; i++) t.is((await readAll(lab.dial())).ending, 'reset')
    await until(() => lab.sessions.size === 0, 'the sessions end')
    t.is(lab.metrics.value('shunt_proxy_refused_total', { reason: row.reason }), 5)
    t.deepEqual(lab.intake.refused(), { [row.reason]: 5 })
    t.deepEqual(
      lab.log.lines.filter((line) => line.level === 'info').map((line) => line.message),
      [`connection refused: ${row.reason}`],
    )
  })

test('a loop is cut', async (t) => {
  const lab = await startLab(t, { endpoints: [endpoint('10.96.0.10:80')] })
  t.is((await readAll(lab.dial())).ending, 'reset')
  t.deepEqual(lab.intake.refused(), { loop: 1 })
})

test('more connections than allowed are reset, and room that is freed is used again', async (t) => {
  const { endpoint: echo } = await startEndpoint(t, (socket) => void socket.pipe(socket))
  const lab = await startLab(t, { endpoints: [echo], maxConnections: 3 })
  const held = await Promise.all([1, 2, 3].map(async () => hold(t, lab)))
  t.is((await readAll(lab.dial())).ending, 'reset')
  t.deepEqual(lab.intake.refused(), { overload: 1 })
  held[0]?.end()
  await until(() => lab.sessions.size === 2, 'one ends')
  await hold(t, lab)
})

test('after it was closed the intake refuses', async (t) => {
  const { endpoint: echo } = await startEndpoint(t, (socket) => void socket.pipe(socket))
  const lab = await startLab(t, { endpoints: [echo] })
  lab.intake.close()
  t.is((await readAll(lab.dial())).ending, 'reset')
  t.deepEqual(lab.intake.refused(), { draining: 1 })
})

test('a flood of clients that reset at once leaves nothing behind', async (t) => {
  const { endpoint: echo } = await startEndpoint(t, (socket) => void socket.pipe(socket))
  const lab = await startLab(t, { endpoints: [echo] })
  for (let i = 0; i < 200; i++) {
    const client = lab.dial()
    client.once('connect', () => client.resetAndDestroy())
  }
  await until(() => lab.intake.accepted === 200, 'all are accepted')
  await until(() => lab.sessions.size === 0, 'all end')
  t.is(lab.metrics.value('shunt_proxy_connections_active'), 0)
})

async function hold(t: ExecutionContext, lab: Awaited<ReturnType<typeof startLab>>) {
  const client = lab.dial()
  client.write('x')
  const answer = await new Promise((resolve) => client.once('data', resolve))
  t.is(String(answer), 'x')
  return client
}

function known(address: string, port: number): Destination {
  return { kind: 'known', ip: ip(address), port }
}
