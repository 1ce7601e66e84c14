// What a hand-over takes for granted of the kernel: a listening socket belongs to nobody, only to those who have a copy.

import test, { type ExecutionContext } from 'ava'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { removePinFolder } from '#agent/kernel/bpffs.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { testNamespace } from '../../support/netns-runner.ts'
import type { HolderOrder } from './holder.ts'

const HOLDER = fileURLToPath(new URL('./holder.ts', import.meta.url))

interface Holder {
  readonly pid: number
  tell(order: HolderOrder | { readonly op: 'answers' }): Promise<unknown>
  kill(): Promise<void>
}

interface Stage {
  readonly folder: string
  readonly pinDir: string
  readonly exec: (program: string, ...args: string[]) => Promise<string>
  readonly holder: () => Holder
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const namespace = await testNamespace()
  const folder = mkdtempSync(join(tmpdir(), 'shunt-sockets-'))
  const pinDir = join(folder, 'bpf')
  const children: ChildProcess[] = []
  const end = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  t.teardown(async () => {
    for (const child of children) await end(child)
    const loaded = loadNative()
    if (loaded.kind === 'loaded') removePinFolder(loaded.native.bpf, pinDir)
    rmSync(folder, { recursive: true, force: true })
    await namespace.close()
  })
  return {
    folder,
    pinDir,
    exec: (program, ...args) => namespace.exec(program, ...args),
    holder: () => {
      const child = spawn(
        '/usr/bin/nsenter',
        [`--net=/run/netns/${namespace.name}`, process.execPath, HOLDER],
        { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
      )
      children.push(child)
      return {
        pid: child.pid ?? 0,
        tell: async (order) => {
          const answered = once(child, 'message')
          child.send(order)
          const [reply] = (await answered) as [{ readonly value?: unknown; readonly error?: string }]
          if (reply.error !== undefined) throw new Error(reply.error)
          return reply.value
        },
        kill: () => end(child),
      }
    },
  }
}

test('connections that wait for accept are not lost when the one who opened the socket dies', async (t) => {
  const { folder, holder } = await stage(t)
  const [first, second, client] = [holder(), holder(), holder()]
  const path = join(folder, 'pass')
  await first.tell({ op: 'open', port: 15001, reusePort: true })
  await first.tell({ op: 'pass', path })
  await second.tell({ op: 'take', path })
  await client.tell({ op: 'dial', ip: '127.0.0.1', port: 15001, count: 10 })
  // Nobody has accepted yet.
  await first.kill()
  await second.tell({ op: 'accept', name: 'second' })
  t.deepEqual(await client.tell({ op: 'answers' }), { second: 10 })
})

test('two processes accept at once: each connection has one of them, and none is lost when one stops', async (t) => {
  const { folder, holder } = await stage(t)
  const [first, second, client] = [holder(), holder(), holder()]
  const path = join(folder, 'pass')
  await first.tell({ op: 'open', port: 15001, reusePort: true })
  await first.tell({ op: 'pass', path })
  await first.tell({ op: 'accept', name: 'first' })
  await second.tell({ op: 'take', path })
  await client.tell({ op: 'dial', ip: '127.0.0.1', port: 15001, count: 3_000 })
  await second.tell({ op: 'accept', name: 'second' })
  await new Promise((resolve) => setTimeout(resolve, 100))
  await first.tell({ op: 'close' })
  const answers = (await client.tell({ op: 'answers' })) as Record<string, number>
  t.deepEqual(Object.keys(answers).toSorted(), ['first', 'second'])
  t.is((answers['first'] ?? 0) + (answers['second'] ?? 0), 3_000)
})

test('a socket in the socket map stays there when the process that entered it dies, until the last copy closes', async (t) => {
  const { folder, pinDir, exec, holder } = await stage(t)
  await exec('ip', 'route', 'add', 'local', '10.96.0.10/32', 'dev', 'lo')
  const [first, second, client] = [holder(), holder(), holder()]
  const path = join(folder, 'pass')
  await first.tell({ op: 'open', port: 15001, reusePort: true })
  await first.tell({ op: 'steer', pinDir, ip: '10.96.0.10', port: 80 })
  await first.tell({ op: 'accept', name: 'first' })
  await client.tell({ op: 'dial', ip: '10.96.0.10', port: 80, count: 1 })
  t.deepEqual(await client.tell({ op: 'answers' }), { first: 1 })
  await first.tell({ op: 'pass', path })
  await second.tell({ op: 'take', path })
  await first.kill()
  await second.tell({ op: 'accept', name: 'second' })
  await client.tell({ op: 'dial', ip: '10.96.0.10', port: 80, count: 20 })
  t.deepEqual(await client.tell({ op: 'answers' }), { second: 20 })
  await second.kill()
  await client.tell({ op: 'dial', ip: '10.96.0.10', port: 80, count: 1 })
  t.deepEqual(await client.tell({ op: 'answers' }), { ECONNREFUSED: 1 })
})

test('a group of listeners can be extended by a process of the same user, and by no other', async (t) => {
  const { holder } = await stage(t)
  const [first, second, other] = [holder(), holder(), holder()]
  await first.tell({ op: 'open', port: 15001, reusePort: true })
  await second.tell({ op: 'open', port: 15001, reusePort: true })
  await t.throwsAsync(other.tell({ op: 'open', port: 15001, reusePort: true, user: 15001 }), {
    message: /Address already in use/,
  })
})

test('callers see who listens on a socket', async (t) => {
  const { folder, holder } = await stage(t)
  const [first, caller] = [holder(), holder()]
  const path = join(folder, 'pass')
  await first.tell({ op: 'open', port: 15001, reusePort: false })
  await first.tell({ op: 'pass', path })
  t.is(await caller.tell({ op: 'peer', path }), first.pid)
})
