// Real processes: what the supervisor does to its children can only be seen from outside.

import test, { type ExecutionContext } from 'ava'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

interface Event {
  readonly name: string
  readonly what: string
  readonly pid: number
}

interface Stage {
  readonly supervisor: ChildProcess
  readonly ended: Promise<number | null>
  events(): readonly Event[]
  /** What a proxy does that is started from now on. */
  nextProxy(does: 'take' | 'fail' | 'wait'): void
  /** Waits for the Nth such event; fails after ten seconds. */
  happens(name: string, what: string, nth?: number): Promise<Event>
}

function start(t: ExecutionContext, ...args: readonly string[]): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-supervisor-'))
  const file = join(folder, 'events')
  const main = new URL('support/supervisor-main.ts', import.meta.url).pathname
  const supervisor = spawn(process.execPath, [main, file, ...args], { stdio: 'ignore' })
  const events = (): Event[] =>
    (existsSync(file) ? readFileSync(file, 'utf8') : '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [name = '', what = '', pid] = line.split(' ')
        return { name, what, pid: Number(pid) }
      })
  t.teardown(() => {
    for (const pid of [supervisor.pid, ...events().map((event) => event.pid)]) {
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    supervisor,
    ended: new Promise((resolve) => supervisor.once('exit', resolve)),
    events,
    nextProxy: (does) => writeFileSync(`${file}.next`, does),
    async happens(name, what, nth = 1) {
      for (let i = 0; i < 500; i++) {
        const found = events().filter((event) => event.name === name && event.what === what)[nth - 1]
        if (found !== undefined) return found
        await sleep(20)
      }
      throw new Error(`${name} ${what} did not happen ${nth} times: ${JSON.stringify(events())}`)
    },
  }
}

test('a child that dies is started again, and the other is left alone', async (t) => {
  const stage = start(t)
  const agent = await stage.happens('agent', 'started')
  await stage.happens('proxy', 'started')
  process.kill(agent.pid, 'SIGKILL')
  const second = await stage.happens('agent', 'started', 2)
  t.not(second.pid, agent.pid)
  t.is(stage.events().filter(({ name }) => name === 'proxy').length, 1)
})

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  test(`${signal} reaches both children once, and the supervisor ends after them`, async (t) => {
    const stage = start(t)
    await stage.happens('agent', 'started')
    await stage.happens('proxy', 'started')
    // A child that has just begun does not listen yet.
    await sleep(300)
    stage.supervisor.kill(signal)
    t.is(await stage.ended, 0)
    for (const name of ['agent', 'proxy'])
      t.deepEqual(
        stage
          .events()
          .filter((event) => event.name === name)
          .map(({ what }) => what),
        ['started', signal, 'ended'],
      )
  })

test('children end in good order when the supervisor is killed', async (t) => {
  const stage = start(t)
  await stage.happens('agent', 'started')
  await stage.happens('proxy', 'started')
  await sleep(300)
  stage.supervisor.kill('SIGKILL')
  await stage.happens('agent', 'ended')
  await stage.happens('proxy', 'ended')
  t.is((await stage.happens('agent', 'SIGTERM')).pid, (await stage.happens('agent', 'started')).pid)
})

for (const signal of ['SIGHUP', 'SIGUSR2'] as const)
  test(`${signal} replaces the proxy: the new one is started beside the old, which is not started again`, async (t) => {
    const stage = start(t)
    const first = await stage.happens('proxy', 'started')
    const agent = await stage.happens('agent', 'started')
    stage.nextProxy('take')
    await sleep(300)
    stage.supervisor.kill(signal)
    const second = await stage.happens('proxy', 'took')
    t.not(second.pid, first.pid)
    t.false(stage.events().some(({ what }) => what === 'ended'))
    // It has drained.
    process.kill(first.pid, 'SIGTERM')
    await stage.happens('proxy', 'ended')
    await sleep(500)
    t.is(stage.events().filter(({ what }) => what === 'started').length, 3)

    // What dies now is the second one, and is started again.
    process.kill(second.pid, 'SIGKILL')
    await stage.happens('proxy', 'started', 3)
    stage.supervisor.kill('SIGTERM')
    t.is(await stage.ended, 0)
    t.is((await stage.happens('agent', 'ended')).pid, agent.pid)
  })

test('a replacement that fails leaves the proxy as it was; one that is asked for meanwhile is made', async (t) => {
  const stage = start(t)
  const first = await stage.happens('proxy', 'started')
  stage.nextProxy('fail')
  await sleep(300)
  stage.supervisor.kill('SIGHUP')
  await stage.happens('proxy', 'started', 2)
  await sleep(500)
  t.is(stage.events().filter(({ name }) => name === 'proxy').length, 2)
  stage.nextProxy('wait')
  stage.supervisor.kill('SIGHUP')
  const third = await stage.happens('proxy', 'started', 3)
  stage.nextProxy('take')
  stage.supervisor.kill('SIGHUP')
  await sleep(300)
  t.is(stage.events().filter(({ what }) => what === 'took').length, 0)
  process.kill(third.pid, 'SIGKILL')
  await stage.happens('proxy', 'took')
  t.notThrows(() => process.kill(first.pid, 0))
})

test('a proxy that dies while the next one takes over is not started again: the next one goes on', async (t) => {
  const stage = start(t)
  const first = await stage.happens('proxy', 'started')
  stage.nextProxy('wait')
  await sleep(300)
  stage.supervisor.kill('SIGHUP')
  const second = await stage.happens('proxy', 'started', 2)
  process.kill(first.pid, 'SIGKILL')
  await sleep(700)
  t.is(stage.events().filter(({ name, what }) => name === 'proxy' && what === 'started').length, 2)
  process.kill(second.pid, 'SIGKILL')
  await stage.happens('proxy', 'started', 3)
})

test('told to stop, one that drains is told too, and waited for', async (t) => {
  const stage = start(t)
  const first = await stage.happens('proxy', 'started')
  stage.nextProxy('take')
  await sleep(300)
  stage.supervisor.kill('SIGHUP')
  await stage.happens('proxy', 'took')
  await sleep(300)
  stage.supervisor.kill('SIGTERM')
  t.is(await stage.ended, 0)
  t.is(stage.events().filter(({ name, what }) => name === 'proxy' && what === 'ended').length, 2)
  t.true(stage.events().some(({ pid, what }) => pid === first.pid && what === 'SIGTERM'))
})

test('at a terminal SIGHUP ends it: the terminal is gone', async (t) => {
  const stage = start(t, 'terminal')
  await stage.happens('proxy', 'started')
  await stage.happens('agent', 'started')
  await sleep(300)
  stage.supervisor.kill('SIGHUP')
  t.is(await stage.ended, 0)
  t.is(stage.events().filter(({ what }) => what === 'ended').length, 2)
})
