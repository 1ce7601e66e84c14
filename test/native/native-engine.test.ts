// What the native engine does beyond any engine: TCP_INFO, splicing, no room left, a thread that stalls or dies.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { systemClock } from '#agent/kernel/clock.ts'
import type { NativeRelay } from '#agent/kernel/native-relay.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { parseIp } from '#agent/model/ip.ts'
import { NativeEngine } from '#agent/proxy/engine/native-engine.ts'
import { connectTo, startEngine, type EngineLab } from '../proxy/engine/engine-lab.ts'
import { listenOnLoopback } from '../support/native-listener.ts'
import { echo, pause, readAll, servingPeer, until } from '../support/peers.ts'

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded

test('the end has TCP_INFO of both legs, and of one when no endpoint was reached', async (t) => {
  const { lab } = await start(t)
  const peer = await servingPeer(t, echo)
  lab.always(connectTo([peer]))
  const client = lab.dial()
  client.end('x')
  await readAll(client)
  const { end } = await lab.next('ended')
  t.true((end.client?.rttUs ?? 0) > 0 && (end.endpoint?.rttUs ?? 0) > 0)
  t.true((end.client?.rttUs ?? 0) < 1_000_000)
  t.like(end.endpoint, { retransmits: 0, lost: 0 })
  lab.always({ kind: 'refuse' })
  lab.dial()
  const refused = (await lab.next('ended')).end
  t.true((refused.client?.rttUs ?? 0) > 0)
  t.is(refused.endpoint, undefined)
})

test('bulk goes through pipes, chatty flows do not, and no pipe stays in use', async (t) => {
  const { lab } = await start(t)
  const peer = await servingPeer(t, (socket) => void socket.resume().once('end', () => socket.end()))
  lab.always(connectTo([peer]))
  const client = lab.dial()
  const totalBytes = 64 * 1024 * 1024
  client.end(Buffer.alloc(totalBytes))
  await readAll(client)
  await lab.next('ended')
  await until(() => lab.engine.status().connections === 0, 'it is forgotten')
  const { counters } = lab.engine.status()
  t.is(counters.spliced_bytes + counters.copied_bytes, totalBytes)
  t.true(counters.spliced_bytes > totalBytes / 2, `${counters.spliced_bytes} bytes were spliced`)

  const chatty = lab.dial()
  const peerEchoes = await servingPeer(t, echo)
  lab.always(connectTo([peerEchoes]))
  const talker = lab.dial()
  for (let i = 0; i < 50; i++) {
    talker.write('ping')
    await once(talker, 'data')
  }
  await until(() => lab.engine.status().counters.copied_bytes >= counters.copied_bytes + 400, 'counted')
  t.is(lab.engine.status().counters.spliced_bytes, counters.spliced_bytes)
  chatty.destroy()
})

test('a connection that lasts asks its silent peers from time to time whether they are there', async (t) => {
  const { lab } = await start(t)
  const peer = await servingPeer(t, echo)
  lab.always(connectTo([peer]))
  const client = lab.dial()
  client.write('x')
  await once(client, 'data')
  t.false(asksPeer(peer.port), 'most are over by the time that it matters')
  await pause(11_500)
  t.true(asksPeer(peer.port))
  client.destroy()
})

test('beyond its room it resets, and says how many', async (t) => {
  let reset = 0
  const { lab } = await start(t, { connections: 4, acceptFailed: (_, times) => (reset += times) })
  const clients = Array.from({ length: 10 }, () => lab.dial())
  await until(() => reset === 6, 'six were reset')
  await until(() => clients.filter(({ closed }) => closed).length === 6, 'six clients see it')
  t.is(lab.engine.status().connections, 4)
  // What ends makes room.
  const { connection } = await lab.next('accepted')
  lab.engine.decide(connection, { kind: 'refuse' })
  await lab.next('ended')
  for (let i = 0; i < 3; i++) await lab.next('accepted')
  lab.dial()
  t.truthy(await lab.next('accepted'))
})

test('more commands than the ring holds are kept, in order', async (t) => {
  const { lab } = await start(t)
  const peer = await servingPeer(t, echo)
  const client = lab.dial()
  client.end('x')
  const { connection } = await lab.next('accepted')
  // For nobody, three rings full of it.
  for (let i = 0; i < 3_500; i++) lab.engine.abort(i + 1_000_000)
  lab.engine.decide(connection, connectTo([peer]))
  t.is((await readAll(client)).data.toString(), 'x')
})

test('arguments that C++ must not see are refused', async (t) => {
  const { lab } = await start(t)
  lab.dial()
  const { connection } = await lab.next('accepted')
  const peer = { ip: parseIp('127.0.0.1') ?? never(), port: 80 }
  for (const verdict of [
    connectTo([]),
    connectTo(Array.from({ length: 7 }, () => peer)),
    connectTo([{ ...peer, port: 0 }]),
    connectTo([peer], { mark: -1 }),
    connectTo([peer], { skipBytes: 0.5 }),
    connectTo([peer], { prefix: Buffer.alloc(73) }),
  ])
    t.throws(() => lab.engine.decide(connection, verdict), { code: 'INTERNAL' })
  // And the connection still waits.
  lab.engine.decide(connection, { kind: 'refuse' })
  t.is((await lab.next('ended')).end.outcome, 'refused')
})

test('a stall is seen from outside, and passes', async (t) => {
  const { lab, relay } = await start(t)
  lab.engine.lastTurnMs()
  relay.fault('stall', 800)
  await pause(300)
  const atMs = lab.engine.lastTurnMs()
  await pause(300)
  t.is(lab.engine.lastTurnMs(), atMs)
  await pause(600)
  t.true(performance.now() - lab.engine.lastTurnMs() < 300)
  t.is(lab.engine.failure?.(), undefined)
})

test('a thread that dies says so, keeps nobody waiting, and can be closed', async (t) => {
  const { lab, relay, fd } = await start(t)
  const client = lab.dial()
  await lab.next('accepted')
  relay.fault('die', 0)
  await until(() => lab.engine.failure?.() !== undefined, 'it died')
  await lab.engine.removeListener(fd)
  const seen = readAll(client)
  lab.engine.close()
  t.is((await seen).ending, 'reset')
})

test('a socket that was handed over when nobody listened any more is closed', async (t) => {
  const { lab } = await start(t)
  const before = descriptors()
  const clients = Array.from({ length: 5 }, () => lab.dial())
  for (let i = 0; i < clients.length; i++)
    lab.engine.decide((await lab.next('accepted')).connection, { kind: 'handOver' })
  // The engine hands over while this thread is busy.
  const untilMs = performance.now() + 50
  while (performance.now() < untilMs);
  lab.engine.close()
  for (const client of clients) client.destroy()
  await until(() => descriptors() < before, 'all are closed')
  t.pass()
})

interface Started {
  readonly lab: EngineLab
  readonly relay: NativeRelay
  readonly fd: number
}

async function start(
  t: ExecutionContext,
  options: { connections?: number; acceptFailed?: (code: string, times: number) => void } = {},
): Promise<Started> {
  const { fd, port } = await listenOnLoopback(t, native, parseIp('127.0.0.1') ?? never())
  const opened: NativeRelay[] = []
  const lab = await startEngine(t, async (_, events) => {
    const engine = new NativeEngine({
      clock: systemClock,
      open: (relayOptions) => {
        const relay = native.relay(relayOptions)
        opened.push(relay)
        return relay
      },
      connections: options.connections ?? 1_024,
      events: options.acceptFailed === undefined ? events : { ...events, acceptFailed: options.acceptFailed },
    })
    engine.addListener(fd)
    return { engine, port }
  })
  const [relay] = opened
  if (relay === undefined) throw new Error('no relay was opened')
  return { lab, relay, fd }
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

function never(): never {
  throw new Error('127.0.0.1 is an address')
}

/** Whether a socket of this namespace that is connected to the port has its keep-alive timer running. */
function asksPeer(port: number): boolean {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')} 01 `
  const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => readFileSync(file, 'utf8').split('\n'))
  // local remote state queues timer: 02 is keep-alive
  return lines.some((line) => line.includes(remote) && / 01 [0-9A-F]{8}:[0-9A-F]{8} 02:/.test(line))
}
