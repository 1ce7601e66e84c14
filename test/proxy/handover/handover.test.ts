// Both ends over a real socket, in one process: what is passed on, what is said, and what each end makes of a failure.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '#agent/kernel/clock.ts'
import { loadNative } from '#agent/kernel/native.ts'
import type { Ip } from '#agent/model/ip.ts'
import { createMetrics } from '#agent/observe/metrics.ts'
import { callPredecessor, type Call } from '#agent/proxy/handover/call-predecessor.ts'
import { DrainingProxies } from '#agent/proxy/handover/draining-proxies.ts'
import { HandoverServer, type NamedSocket } from '#agent/proxy/handover/handover-server.ts'
import type { DrainingReport } from '#agent/proxy/handover/messages.ts'
import { Succession } from '#agent/proxy/handover/succession.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded
const OWN_UID = process.getuid?.() ?? 0
const NETNS = 5

interface Running {
  readonly server: HandoverServer
  readonly retired: () => boolean
  readonly metrics: () => string
}

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'shunt-handover-'))
  t.teardown(() => rmSync(made, { recursive: true }))
  return made
}

async function running(
  t: ExecutionContext,
  path: string,
  options: {
    readonly sockets?: readonly NamedSocket[]
    readonly state?: () => Iterable<unknown>
    readonly uids?: readonly number[]
  } = {},
): Promise<Running> {
  let retired = false
  const metrics = createMetrics({ onMisuse: (message) => t.fail(message) })
  const server = new HandoverServer({
    clock: systemClock,
    log: quietLog(),
    metrics,
    fdPassing: native.fdPassing,
    pid: 7,
    netns: NETNS,
    uids: options.uids ?? [OWN_UID],
    sockets: () => options.sockets ?? [],
    state: options.state ?? (() => []),
    retire: () => void (retired = true),
    drain: () => ({ connections: 3, sinceMs: 1_000, untilMs: 2_000 }),
  })
  await server.listen(native.fdPassing.listenUnix(path, 0o600, 16))
  t.teardown(() => server.close())
  return { server, retired: () => retired, metrics: () => metrics.text() }
}

function call(path: string, parts: { readonly netns?: number } = {}): Promise<Call> {
  return callPredecessor(path, {
    clock: systemClock,
    fdPassing: native.fdPassing,
    closeFd: (fd) => native.closeFd(fd),
    pid: 8,
    netns: parts.netns ?? NETNS,
    uids: [OWN_UID],
  })
}

interface Heard {
  readonly reports: DrainingReport[]
  readonly errors: string[]
  gone: boolean
}

function succeed(
  t: ExecutionContext,
  called: Call,
): { readonly succession: Succession; readonly heard: Heard } {
  if (called.kind !== 'granted') throw new Error('it was not granted')
  const heard: Heard = { reports: [], errors: [], gone: false }
  const succession = new Succession(called.channel, {
    clock: systemClock,
    log: quietLog(),
    pid: called.pid,
    report: (report) => heard.reports.push(report),
    gone: () => void (heard.gone = true),
    revoked: (error) => heard.errors.push(error.message),
  })
  t.teardown(() => succession.channel.destroy())
  return { succession, heard }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return
    await sleep(10)
  }
  throw new Error(`it never happened: ${what}`)
}

function listener(): NamedSocket {
  const fd = native.listenTcp({
    ip: '127.0.0.1' as Ip,
    port: 0,
    backlog: 8,
    transparent: false,
    reusePort: false,
    v6only: true,
  })
  return { name: { role: 'listener', family: 'IPv4', port: 15001 }, fd }
}

test('sockets, state and the word go over; the predecessor retires and tells how it drains', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const passed = listener()
  const predecessor = await running(t, path, {
    sockets: [passed, { name: { role: 'draining', pid: 3 }, fd: passed.fd }],
    state: function* () {
      yield { affinity: [1, 2] }
      yield { affinity: [3] }
    },
  })
  const called = await call(path)
  t.like(called, { kind: 'granted', pid: 7 })
  const names = called.kind === 'granted' ? called.sockets.map(({ name }) => name) : []
  t.deepEqual(names, [
    { role: 'listener', family: 'IPv4', port: 15001 },
    { role: 'draining', pid: 3 },
  ])
  const { succession, heard } = succeed(t, called)
  t.deepEqual(await succession.state(), [{ affinity: [1, 2] }, { affinity: [3] }])
  await succession.ready()
  t.false(predecessor.retired())
  succession.serving()
  await until('it retires', predecessor.retired)
  await until('it reports', () => heard.reports.length > 0)
  t.deepEqual(heard.reports[0], { kind: 'draining', pid: 7, connections: 3, sinceMs: 1_000, untilMs: 2_000 })
  t.regex(predecessor.metrics(), /shunt_proxy_handovers_total\{role="gave",result="completed"\} 1/)
  native.closeFd(passed.fd)

  // The listening socket lives on in its copy.
  const copy = called.kind === 'granted' ? (called.sockets[1]?.fd ?? -1) : -1
  const server = createServer((socket) => socket.end('hello'))
  server.listen({ fd: copy })
  await once(server, 'listening')
  const address = server.address()
  const client = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  const [data] = (await once(client, 'data')) as [Buffer]
  t.is(data.toString(), 'hello')
  server.close()
  if (called.kind === 'granted') native.closeFd(called.sockets[0]?.fd ?? -1)
  t.false(heard.gone)
  predecessor.server.close()
  await until('it is gone', () => heard.gone)
  t.deepEqual(heard.errors, [])
})

test('more sockets than one message carries arrive all, in order', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const { fd } = listener()
  const sockets = Array.from({ length: 450 }, (_, pid): NamedSocket => ({
    name: { role: 'draining', pid },
    fd,
  }))
  await running(t, path, { sockets })
  const called = await call(path)
  succeed(t, called)
  t.deepEqual(
    called.kind === 'granted' ? called.sockets.map(({ name }) => name) : [],
    sockets.map(({ name }) => name),
  )
  for (const socket of called.kind === 'granted' ? called.sockets : []) native.closeFd(socket.fd)
  native.closeFd(fd)
})

test('nobody there: start as if alone', async (t) => {
  const path = join(folder(t), 'handover.sock')
  t.deepEqual(await call(path), { kind: 'nobody' })
  // The file of a dead process.
  native.closeFd(native.fdPassing.listenUnix(path, 0o600, 1))
  t.deepEqual(await call(path), { kind: 'nobody' })
})

test('a second successor, one from elsewhere and one too late are refused in plain words', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  await t.throwsAsync(call(path, { netns: 6 }), {
    code: 'HANDOVER_FAILED',
    message: 'the running proxy (pid 7) serves another network namespace',
  })
  succeed(t, await call(path))
  await t.throwsAsync(call(path), {
    code: 'HANDOVER_FAILED',
    message: 'the running proxy (pid 7) is handing over to another one already',
  })
  predecessor.server.stop()
  await t.throwsAsync(call(path), {
    message: 'the running proxy (pid 7) is stopping, or has handed over already',
  })
})

test('a caller of another user is sent away without a word', async (t) => {
  const path = join(folder(t), 'handover.sock')
  await running(t, path, { uids: [OWN_UID + 1] })
  t.deepEqual(await call(path), { kind: 'nobody' })
})

test('a successor that dies at any step: the predecessor goes on, and the next one may', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  const steps: readonly ((succession: Succession) => Promise<unknown>)[] = [
    () => Promise.resolve(),
    (succession) => succession.state(),
    (succession) => succession.state().then(() => succession.ready()),
  ]
  for (const step of steps) {
    const { succession } = succeed(t, await call(path))
    await step(succession)
    succession.channel.destroy()
    await sleep(50)
    t.false(predecessor.retired())
  }
  t.regex(predecessor.metrics(), /shunt_proxy_handovers_total\{role="gave",result="failed"\} 3/)
  const { succession } = succeed(t, await call(path))
  await succession.state()
  await succession.ready()
  succession.serving()
  await until('it retires', predecessor.retired)
})

test('a successor that cannot go on says why, and the predecessor goes on', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  const { succession } = succeed(t, await call(path))
  await succession.state()
  succession.abandon(new Error('no view'))
  await t.throwsAsync(succession.ready(), { message: 'this proxy could not take over: no view' })
  await until('it has heard', () => predecessor.metrics().includes('failed'))
  t.false(predecessor.retired())
})

test('a predecessor that ends: the successor goes on with what it has', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  const { succession, heard } = succeed(t, await call(path))
  await succession.state()
  predecessor.server.close()
  await succession.ready()
  succession.serving()
  t.deepEqual(heard.errors, [])
})

test('told to stop while a successor prepares, the predecessor calls it off', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  const { succession } = succeed(t, await call(path))
  await succession.state()
  predecessor.server.stop()
  await sleep(50)
  await t.throwsAsync(succession.ready(), {
    message: 'the running proxy (pid 7) called the hand-over off: it was told to stop',
  })
})

test('a state that cannot be told ends the hand-over, not the proxy', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path, {
    state: () => {
      throw new Error('a bug')
    },
  })
  const { succession } = succeed(t, await call(path))
  await t.throwsAsync(succession.state(), { message: /called the hand-over off: a bug/ })
  t.false(predecessor.retired())
})

test.serial('one that hangs is given up and left alone, with a hint how to end it', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const clock = manualClock()
  const fd = native.fdPassing.listenUnix(path, 0o600, 1)
  const before = readdirSync('/proc/self/fd').length
  const called = callPredecessor(path, {
    clock,
    fdPassing: native.fdPassing,
    closeFd: (each) => native.closeFd(each),
    pid: 8,
    netns: NETNS,
    uids: [OWN_UID],
  })
  const thrown = t.throwsAsync(called, {
    code: 'HANDOVER_FAILED',
    message: `the running proxy (pid ${process.pid}) did not give its answer within 5 s`,
  })
  await clock.advance(5_100)
  const error = await thrown
  t.regex(String((error as { hint?: string } | undefined)?.hint), new RegExp(`kill -9 ${process.pid}`))
  t.true(readdirSync('/proc/self/fd').length <= before)
  native.closeFd(fd)
})

test('the channel of one that drains is passed on, and the next proxy hears from it', async (t) => {
  const path = join(folder(t), 'handover.sock')
  const predecessor = await running(t, path)
  const { succession, heard } = succeed(t, await call(path))
  const second = new DrainingProxies(quietLog())
  const followed = second.follow(7, succession.channel)
  await succession.state()
  await succession.ready()
  succession.serving()
  await until('it reports', () => heard.reports.length > 0)
  followed.report(heard.reports[0] as DrainingReport)
  t.deepEqual(second.list(), [{ pid: 7, connections: 3, sinceMs: 1_000, untilMs: 2_000 }])

  // The next successor gets it, and hears the reports from now on.
  const nextPath = join(folder(t), 'handover.sock')
  await running(t, nextPath, { sockets: second.sockets() })
  const next = await call(nextPath)
  succeed(t, next)
  const third = new DrainingProxies(quietLog())
  for (const { name, fd } of next.kind === 'granted' ? next.sockets : [])
    if (name.role === 'draining') third.inherit(name.pid, fd)
  t.deepEqual(third.list(), [{ pid: 7, connections: null, sinceMs: null, untilMs: null }])
  second.release()
  await until('it reports to the third', () => third.list()[0]?.connections === 3)
  predecessor.server.close()
  await until('it has ended', () => third.list().length === 0)
})
