// Hand-overs of real proxy processes on the real kernel, under load: what clients see of them.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CLIENT_POD, GOOD_POD, NODE, RelayStage, type RelayService } from '../../fault/relay-stage.ts'
import { startShunt, type Shunt } from '../../support/lab/shunt.ts'
import { until } from '../../support/lab/wait.ts'

const WEB: RelayService = {
  name: 'web',
  number: 1,
  endpoints: [{ pod: GOOD_POD, behaviour: 'answer' }],
}
const FAILING_SUCCESSOR = fileURLToPath(new URL('./failing-successor.ts', import.meta.url))
/** As in failing-successor.ts. */
const STEPS = ['call', 'grant', 'state', 'ready', 'go']
const HAND_OVERS = 20
/**
 * A client that gives up early fails when the machine is busy, too; one that is forgotten fails after any time. It resets
 * at the end: thousands of ports in TIME_WAIT make each connect slower than the last, on either side of the proxy.
 */
const PATIENT = { 'timeout-ms': 30_000, close: 'reset' } as const
/** HEARTBEAT_TIMEOUT_S, and what a busy machine adds. */
const WITHDRAWN_WITHIN_MS = 1_500

async function stageFor(t: ExecutionContext): Promise<RelayStage> {
  const stage = await RelayStage.start({ relay: 'native', workers: 2, services: [WEB] })
  t.teardown(() => stage.stop())
  return stage
}

function startSuccessor(stage: RelayStage, ...flags: readonly string[]): Shunt {
  return startShunt(stage.lab, NODE, {
    command: 'proxy',
    flags: ['--relay', 'native', '--proxy-workers', '2', ...flags],
  })
}

/** Resolves when it serves. */
async function takeOver(stage: RelayStage, ...flags: readonly string[]): Promise<Shunt> {
  const successor = startSuccessor(stage, ...flags)
  await until('the successor serves', () => successor.log().includes('the proxy is ready'), {
    everyMs: 5,
    withinMs: 20_000,
    explain: () => successor.log(),
  })
  return successor
}

/**
 * Connections a second that this machine carries while nothing happens, at most 3,000: it may be busy with other things,
 * and a client that is late by itself says nothing about a hand-over.
 */
async function rateFor(t: ExecutionContext, stage: RelayStage): Promise<number> {
  for (const rate of [3_000, 1_500, 750, 300, 100]) {
    const calm = await stage.run('conns', { to: stage.to(WEB), rate, seconds: 3, ...PATIENT })
    if (calm.failed > 0 || calm.behind > 0 || calm.connectUs.p99 > 100_000) continue
    t.log(`${rate} connections a second; without a hand-over p99 of connecting ${calm.connectUs.p99} us`)
    return rate
  }
  throw new Error('this machine does not carry 100 connections a second')
}

test('one hand-over: what is open lives on in the first, what is new goes to the second', async (t) => {
  const stage = await stageFor(t)
  const idle = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 20, concurrency: 20 })
  const first = await stage.status()
  t.is(first.connections.open, 20)
  const successor = await takeOver(stage)
  const second = await stage.status()
  t.not(second.pid, first.pid)
  t.like(second, { state: 'serving', uid: 15001, degraded: [] })
  t.is((await stage.run('conns', { to: stage.to(WEB), count: 50, concurrency: 5 })).failed, 0)
  await until('the second hears of the first', async () => {
    const [predecessor] = (await stage.status()).predecessors
    return predecessor?.connections === 20 && predecessor.pid === first.pid
  })
  t.true(stage.proxy.running())
  t.is((await idle.end()).stillWhole, 20)
  t.like(await stage.proxy.ended(), { code: 0 })
  await until('the first is forgotten', async () => (await stage.status()).predecessors.length === 0)
  t.true(successor.running())
})

test(`${HAND_OVERS} hand-overs under load: no connection fails, and what is open stays whole`, async (t) => {
  const stage = await stageFor(t)
  const to = stage.to(WEB)
  const rate = await rateFor(t, stage)
  const idle = await stage.load(CLIENT_POD, 'idle', { to, count: 50, concurrency: 20 })
  const bulk = await stage.load(CLIENT_POD, 'bulk', {
    to,
    streams: 2,
    up: 4_000_000_000,
    down: 4_000_000_000,
    'read-rate': 2_000_000,
    'server-read-rate': 2_000_000,
  })
  const conns = await stage.load(CLIENT_POD, 'conns', { to, rate, seconds: 600, ...PATIENT })
  const tookMs: number[] = []
  for (let i = 0; i < HAND_OVERS; i++) {
    const startedMs = performance.now()
    await takeOver(stage)
    tookMs.push(Math.round(performance.now() - startedMs))
    const { pid, predecessors } = await stage.status()
    t.false(predecessors.some((each) => each.pid === pid))
  }
  const { failed, failedBy, answered, connectUs } = await conns.end()
  const held = await idle.end()
  const streams = await bulk.report()
  t.log(
    `${answered} connections, ${failed} failed; p99 of connecting ${connectUs.p99} us, max ${connectUs.max} us`,
  )
  t.log(
    `from start to serving: ${tookMs.toSorted((a, b) => a - b)[HAND_OVERS / 2]} ms, at most ${Math.max(...tookMs)} ms`,
  )
  t.log(`two streams moved ${Math.round((streams.bytesUp + streams.bytesDown) / 1e6)} MB meanwhile`)
  t.deepEqual(failedBy, {})
  t.is(held.stillWhole, 50)
  t.is(streams.wrong, 0, streams.problem)
  t.is(streams.open, 2)
})

test('a successor that is killed at any step of the protocol: nothing is lost', async (t) => {
  const stage = await stageFor(t)
  const rate = await rateFor(t, stage)
  const conns = await stage.load(CLIENT_POD, 'conns', {
    to: stage.to(WEB),
    rate,
    seconds: 600,
    ...PATIENT,
  })
  const { pid } = await stage.status()
  for (const step of STEPS) {
    const argv = [process.execPath, FAILING_SUCCESSOR, '/run/shunt/handover.sock', step]
    const child = stage.lab.spawn(NODE, argv, { stdio: ['ignore', 'inherit', 'inherit'] })
    const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    t.is(signal, 'SIGKILL', step)
    const status = await stage.status()
    t.like(
      status,
      { pid, state: 'serving' },
      JSON.stringify({ ...status, log: stage.proxy.log().slice(-1500) }),
    )
  }
  await takeOver(stage)
  t.not((await stage.status()).pid, pid)
  t.deepEqual((await conns.end()).failedBy, {})
})

test('kill -9 of the proxy that serves: it loses what it relays, new connections are served within 1.5 s', async (t) => {
  const stage = await stageFor(t)
  const to = stage.to(WEB)
  const rate = await rateFor(t, stage)
  const before = await stage.load(CLIENT_POD, 'idle', { to, count: 20, concurrency: 20 })
  const successor = await takeOver(stage)
  await until(
    'the first accepts no more',
    async () => {
      const { state, predecessors } = await stage.status()
      return state === 'serving' && predecessors.length === 1
    },
    { explain: () => successor.log() },
  )
  const after = await stage.load(CLIENT_POD, 'idle', { to, count: 20, concurrency: 20 })
  t.is((await stage.status()).connections.open, 20)
  const conns = await stage.load(CLIENT_POD, 'conns', {
    to,
    rate,
    seconds: 600,
    ...PATIENT,
    'list-failures': 100_000,
  })
  await sleep(1_000)
  const killedMs = Date.now()
  process.kill((await stage.status()).pid, 'SIGKILL')
  await successor.ended()
  await sleep(3_000)
  const result = await conns.end()
  const late = result.failures.filter(({ startedMs }) => startedMs > killedMs + WITHDRAWN_WITHIN_MS)
  const last = Math.max(0, ...result.failures.map(({ startedMs }) => startedMs - killedMs))
  t.log(
    `${result.answered} answered, ${result.failed} failed, the last one begun ${Math.round(last)} ms after`,
    result.failedBy,
  )
  t.deepEqual(late, [])
  t.is((await before.end()).stillWhole, 20, 'what the drained predecessor relays is not touched')
  t.is((await after.end()).stillWhole, 0)

  // Nothing is left in the way of the next one.
  const next = await takeOver(stage)
  t.is((await stage.run('conns', { to, count: 50, concurrency: 5 })).failed, 0)
  t.true(next.running())
})

test('a predecessor that hangs is left alone: the successor ends, and says how to end the other', async (t) => {
  const stage = await stageFor(t)
  const { pid } = await stage.status()
  process.kill(pid, 'SIGSTOP')
  const successor = startSuccessor(stage)
  t.like(await successor.ended(), { code: 1 })
  process.kill(pid, 'SIGCONT')
  t.regex(
    successor.log(),
    /the running proxy \(pid \d+\) did not give its answer within 5 s \(HANDOVER_FAILED\)/,
  )
  t.regex(successor.log(), new RegExp(`hint: if it hangs, end it with .kill -9 ${pid}`))
  await until('the first serves again', async () => (await stage.status()).state === 'serving')
})

test('a successor that cannot do what the predecessor does ends, and the predecessor goes on', async (t) => {
  const stage = await stageFor(t)
  const { pid } = await stage.status()
  for (const [flags, because] of [
    [['--proxy-port', '15002'], /serves port 15001, this one is to serve port 15002 \(HANDOVER_FAILED\)/],
    [['--handover', 'never'], /another proxy uses the run folder \/run\/shunt \(ALREADY_RUNNING\)/],
  ] as const) {
    const successor = startSuccessor(stage, ...flags)
    t.like(await successor.ended(), { code: 1 })
    t.regex(successor.log(), because)
    t.like(await stage.status(), { pid, state: 'serving' })
  }
})

for (const [from, to] of [
  [1, 3],
  [3, 1],
] as const)
  test(`${from} worker(s) hand over to ${to}: nothing is lost, no socket is left alone`, async (t) => {
    const stage = await RelayStage.start({ relay: 'native', workers: from, services: [WEB] })
    t.teardown(() => stage.stop())
    const conns = await stage.load(CLIENT_POD, 'conns', {
      to: stage.to(WEB),
      rate: 200,
      seconds: 600,
      ...PATIENT,
    })
    await takeOver(stage, '--proxy-workers', String(to))
    await sleep(1_000)
    const { workers } = await stage.status()
    const { failedBy, open } = await conns.end()
    t.deepEqual(failedBy, {})
    t.is(open, 0)
    t.is(workers.length, to)
    t.true(workers.every(({ state }) => state === 'healthy'))
  })

test('a stream engine takes over from a native one, and a native one from that', async (t) => {
  const stage = await stageFor(t)
  const conns = await stage.load(CLIENT_POD, 'conns', {
    to: stage.to(WEB),
    rate: 100,
    seconds: 600,
    ...PATIENT,
  })
  const idle = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 20, concurrency: 20 })
  for (const relay of ['stream', 'native'] as const) {
    await takeOver(stage, '--relay', relay)
    await sleep(500)
    t.is((await stage.status()).workers[0]?.relay, relay)
  }
  t.deepEqual((await conns.end()).failedBy, {})
  t.is((await idle.end()).stillWhole, 20)
})

test('shunt run replaces its proxy on SIGHUP under load, and keeps the one that drains', async (t) => {
  const stage = await stageFor(t)
  const to = stage.to(WEB)
  await Promise.all([stage.agent.stop(), stage.proxy.kill()])
  const manifests = join(stage.lab.folder, 'manifests')
  const both = startShunt(stage.lab, NODE, {
    command: 'run',
    flags: ['--manifests', manifests, '--datapath', 'iptables', '--steer', 'always', '--proxy-workers', '2'],
  })
  const serves = async (): Promise<number | undefined> => {
    const status = await stage.status().catch(() => undefined)
    return status?.state === 'serving' && status.agentConnected ? status.pid : undefined
  }
  await until('the proxy serves', async () => (await serves()) !== undefined, { explain: () => both.log() })
  const first = await serves()
  const idle = await stage.load(CLIENT_POD, 'idle', { to, count: 20, concurrency: 20 })
  const conns = await stage.load(CLIENT_POD, 'conns', { to, rate: 300, seconds: 600, ...PATIENT })
  both.signal('SIGHUP')
  await until(
    'another one serves',
    async () => {
      const pid = await serves()
      return pid !== undefined && pid !== first
    },
    { explain: () => both.log() },
  )
  await until('it says so', () => both.log().includes('the new process has taken over'))
  t.deepEqual((await conns.end()).failedBy, {})
  t.like((await stage.status()).predecessors, [{ pid: first }])
  t.is((await idle.end()).stillWhole, 20)
  await until('the first has drained', () => both.log().includes('a process that had handed over has ended'))
  t.notRegex(both.log(), /started again/)
  both.signal('SIGTERM')
  t.like(await both.ended(), { code: 0 })
})

test('what lives longer than the predecessor may is reset, and counted', async (t) => {
  const stage = await stageFor(t)
  const short = await takeOver(stage, '--handover-drain', '1s')
  const idle = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 20, concurrency: 20 })
  await takeOver(stage)
  t.like(await short.ended(), { code: 0 })
  t.regex(short.log(), /"connections":20,"msg":"connections that did not end in time are reset"/)
  t.is((await idle.end()).stillWhole, 0)
})
