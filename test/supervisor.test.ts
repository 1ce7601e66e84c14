// Real processes: what the supervisor does to its children can only be seen from outside.

import test, { type ExecutionContext } from 'ava'
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
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
  /** Waits for the Nth such event; fails after ten seconds. */
  happens(name: string, what: string, nth?: number): Promise<Event>
}

function start(t: ExecutionContext): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-supervisor-'))
  const file = join(folder, 'events')
  const main = new URL('support/supervisor-main.ts', import.meta.url).pathname
  const supervisor = spawn(process.execPath, [main, file], { stdio: 'ignore' })
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
