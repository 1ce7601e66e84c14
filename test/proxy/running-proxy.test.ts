// The life of a proxy on loopback: the last view from disk, the heartbeat, the drain.

import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathsOf } from '#agent/config/paths.ts'
import { systemClock } from '#agent/kernel/clock.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { plainDialer } from '#agent/proxy/engine/plain-dialer.ts'
import { StreamEngine } from '#agent/proxy/engine/stream-engine.ts'
import { RunningProxy } from '#agent/proxy/running-proxy.ts'
import { echo, pause, readAll, servingPeer, until } from '../support/peers.ts'
import { quietLog } from '../support/quiet-log.ts'
import { RecordingMetrics } from '../support/recording-metrics.ts'
import { frontend, ip, view, WEB } from './views.ts'

/** Listens by itself where it is asked to accept from a socket. */
class LoopbackEngine extends StreamEngine {
  port = 0
  /** Set: it does not go round. */
  stuckSinceMs: number | undefined
  #listening: Promise<void> | undefined

  override addListener(): void {
    this.#listening = this.listenOn({ host: '127.0.0.1', port: 0 }).then(
      ({ port }) => void (this.port = port),
    )
  }

  override async removeListener(): Promise<void> {
    await this.#listening
    // The name of what it listens on by itself.
    await super.removeListener(-1)
  }

  override lastTurnMs(): number {
    return this.stuckSinceMs ?? super.lastTurnMs()
  }
}

async function setUp(
  t: ExecutionContext,
  options: { readonly drainMs?: number; readonly disk?: string; readonly begin?: boolean } = {},
) {
  const peer = await servingPeer(t, echo)
  const served: ProxyView = view({
    generation: 5,
    frontends: { '10.96.0.10|80': frontend() },
    services: { [WEB]: { key: WEB, cluster: [{ ip: peer.ip, port: peer.port, local: true }], local: [] } },
  })
  const paths = pathsOf(await mkdtemp(join(tmpdir(), 'shunt-running-')))
  t.teardown(() => rm(paths.runDir, { recursive: true, force: true }))
  // The folder of the state is the run folder here, which exists.
  const lastView = join(paths.runDir, 'last-view.json')
  await writeFile(lastView, options.disk ?? JSON.stringify(served))
  const kernel = { beats: 0, withdrawals: 0, closed: 0, closedSockets: [] as number[] }
  const engines: LoopbackEngine[] = []
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
    {
      clock: systemClock,
      random: Math.random,
      log: quietLog(),
      metrics: new RecordingMetrics(),
      pid: 42,
      uid: () => 0,
      sockets: [{ family: 'IPv4', fd: 7 }],
      closeSocket: (fd) => void kernel.closedSockets.push(fd),
      workers: 1,
      makeEngine(events) {
        const engine = new LoopbackEngine({
          clock: systemClock,
          dialer: plainDialer,
          destination: () => ({ ip: ip('10.96.0.10'), port: 80 }),
          place: (fd) => ({ fd }),
          events,
        })
        engines.push(engine)
        return engine
      },
      maxConnections: 100,
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
      predecessors: () => [],
    },
  )
  await proxy.prepare()
  proxy.begin()
  const engine = engines[0]
  if (engine === undefined) throw new Error('the proxy made no engine')
  await until(() => engine.port !== 0, 'it listens')
  t.teardown(async () => {
    void proxy.drain()
    await proxy.drain()
  })
  return {
    proxy,
    kernel,
    engine,
    dial: () => {
      const socket = connect({ host: '127.0.0.1', port: engine.port, allowHalfOpen: true })
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
  await pause(1_500)
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

test('without a worker that goes round it does not beat, and says why', async (t) => {
  const { proxy, kernel, engine } = await setUp(t)
  engine.stuckSinceMs = systemClock.monotonicMs()
  await pause(1_600)
  const { beats } = kernel
  await pause(600)
  t.is(kernel.beats, beats)
  t.like(proxy.status(), {
    state: 'waiting',
    degraded: ['worker 0 is stuck', 'the agent is not connected'],
    heartbeat: { because: 'no worker goes round' },
  })
  engine.stuckSinceMs = undefined
  await until(() => proxy.status().state === 'serving', 'it serves again')
})

test('to a successor it leaves the path without a word to the kernel, and lets connections end', async (t) => {
  const { proxy, kernel, dial } = await setUp(t)
  const held = dial()
  held.write('a')
  await new Promise((resolve) => held.once('data', resolve))
  const { beats } = kernel
  t.deepEqual(proxy.listenerFds(), [{ family: 'IPv4', fd: 7 }])
  const retired = proxy.retire(60_000)
  await until(() => kernel.closedSockets.length > 0, 'it accepts no more')
  t.is(proxy.draining()?.connections, 1)
  t.deepEqual(kernel.closedSockets, [7], 'its own copies')
  await pause(600)
  t.like(kernel, { beats, withdrawals: 0 })
  t.is((await readAll(dial())).ending, 'reset')
  const rest = readAll(held)
  held.end('b')
  t.deepEqual(await rest, { data: Buffer.from('b'), ending: 'end' })
  await retired
  t.like(kernel, { withdrawals: 0, closed: 1 })
})

test('one that handed over and is asked to stop resets what does not end in time', async (t) => {
  const { proxy, kernel, dial } = await setUp(t, { drainMs: 300 })
  const held = dial()
  held.write('a')
  await new Promise((resolve) => held.once('data', resolve))
  const retired = proxy.retire(undefined)
  t.like(proxy.draining(), { connections: 1, untilMs: null })
  await pause(600)
  t.is(proxy.draining()?.connections, 1)
  void proxy.drain()
  t.is((await readAll(held)).ending, 'reset')
  await retired
  t.like(kernel, { withdrawals: 0, closed: 1 })
})

test('one that handed over resets what lives longer than it may', async (t) => {
  const { proxy, dial } = await setUp(t)
  const held = dial()
  held.write('a')
  await new Promise((resolve) => held.once('data', resolve))
  const retired = proxy.retire(300)
  t.is((await readAll(held)).ending, 'reset')
  await retired
})
