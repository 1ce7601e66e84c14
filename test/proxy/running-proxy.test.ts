// The life of a proxy on loopback: the last view from disk, the heartbeat, the drain.

import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathsOf } from '#agent/config/paths.ts'
import { systemClock } from '#agent/kernel/clock.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { RunningProxy } from '#agent/proxy/running-proxy.ts'
import { quietLog } from '../support/quiet-log.ts'
import { readAll, RecordingMetrics, startEndpoint, until } from './lab.ts'
import { nodeDialer } from './node-dialer.ts'
import { frontend, ip, view, WEB } from './views.ts'

async function setUp(
  t: ExecutionContext,
  options: { readonly drainMs?: number; readonly disk?: string } = {},
) {
  const { endpoint } = await startEndpoint(t, (socket) => void socket.pipe(socket))
  const served: ProxyView = view({
    generation: 5,
    frontends: { '10.96.0.10|80': frontend() },
    services: { [WEB]: { key: WEB, cluster: [endpoint], local: [] } },
  })
  const paths = pathsOf(await mkdtemp(join(tmpdir(), 'shunt-running-')))
  t.teardown(() => rm(paths.runDir, { recursive: true, force: true }))
  // The folder of the state is the run folder here, which exists.
  const lastView = join(paths.runDir, 'last-view.json')
  await writeFile(lastView, options.disk ?? JSON.stringify(served))
  const kernel = { beats: 0, withdrawals: 0, closed: 0 }
  const proxy = new RunningProxy(
    {
      paths: { ...paths, lastView },
      version: 'test',
      port: 15001,
      uid: 0,
      gid: 0,
      metricsAddress: undefined,
      maxConnections: 0,
      drainMs: options.drainMs ?? 5_000,
    },
    100,
    {
      clock: systemClock,
      random: Math.random,
      log: quietLog(),
      metrics: new RecordingMetrics(),
      pid: 42,
      uid: () => 0,
      listeners: [{ host: '127.0.0.1', port: 0 }],
      originalDestination: () => ({ kind: 'known', ip: ip('10.96.0.10'), port: 80 }),
      dialer: nodeDialer(),
      heartbeat: {
        beat: () => {
          kernel.beats++
          return { kind: 'refreshed' }
        },
        withdraw: () => void kernel.withdrawals++,
        close: () => void kernel.closed++,
      },
      skLookup: false,
      degraded: () => [],
    },
  )
  await proxy.listen()
  await proxy.serve()
  const port = Number(proxy.status().listeners[0]?.split(':').at(-1))
  t.teardown(async () => {
    void proxy.drain()
    await proxy.drain()
  })
  return {
    proxy,
    kernel,
    dial: () => {
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
      socket.on('error', () => {})
      t.teardown(() => void socket.destroy())
      return socket
    },
  }
}

test('alone it serves the view of the disk, and beats', async (t) => {
  const { proxy, kernel, dial } = await setUp(t)
  t.like(proxy.status(), {
    state: 'serving',
    agentConnected: false,
    degraded: ['the agent is not connected'],
    view: { generation: 5, source: 'disk', frontends: 1, services: 1 },
    heartbeat: { beating: true },
  })
  t.true(kernel.beats > 0)
  const client = dial()
  client.end('hi')
  t.is((await readAll(client)).data.toString(), 'hi')
})

test('with garbage on the disk it waits, says why, does not beat, and refuses', async (t) => {
  const { proxy, kernel, dial } = await setUp(t, { disk: '{"version":1' })
  t.like(proxy.status(), {
    state: 'waiting',
    view: null,
    heartbeat: { beating: false, because: 'no view was loaded yet' },
  })
  t.is(kernel.beats, 0)
  t.is((await readAll(dial())).ending, 'reset')
})

test('a drain leaves the path at once, serves late arrivals, and waits for what is open', async (t) => {
  const { proxy, kernel, dial } = await setUp(t)
  const held = dial()
  held.write('a')
  await new Promise((resolve) => held.once('data', resolve))
  const beats = kernel.beats
  const drained = proxy.drain()
  t.is(proxy.status().state, 'draining')
  t.is(kernel.withdrawals, 1)
  const late = dial()
  late.end('late')
  t.is((await readAll(late)).data.toString(), 'late')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.is(kernel.beats, beats)
  t.is((await readAll(dial())).ending, 'reset')
  t.is(proxy.connections().live.length, 1)
  const rest = readAll(held)
  held.end('b')
  t.deepEqual(await rest, { data: Buffer.from('b'), ending: 'end' })
  await drained
  t.is(kernel.closed, 1)
})

test('a second stop waits for nobody', async (t) => {
  const { proxy, dial } = await setUp(t, { drainMs: 60_000 })
  const held = dial()
  held.write('a')
  await new Promise((resolve) => held.once('data', resolve))
  const rest = readAll(held)
  const start = performance.now()
  void proxy.drain()
  await proxy.drain()
  t.true(performance.now() - start < 1_000)
  t.is((await rest).ending, 'reset')
  await until(() => proxy.connections().live.length === 0, 'all end')
})
