import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#agent/kernel/clock.ts'
import { CurrentView } from '#agent/proxy/current-view.ts'
import type { AgentMessage } from '#agent/proxy/decision/view.ts'
import { ViewClient } from '#agent/proxy/view-client.ts'
import { until } from '../support/peers.ts'
import { quietLog } from '../support/quiet-log.ts'
import { frontend, view } from './views.ts'

/** An agent that records what the proxy says and sends what the test wants. */
class FakeAgent {
  readonly said: unknown[] = []
  readonly #path: string
  #server: Server | undefined
  #socket: Socket | undefined

  constructor(path: string) {
    this.#path = path
  }

  async start(): Promise<void> {
    this.#server = createServer((socket) => {
      this.#socket = socket
      let text = ''
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        const lines = text.split('\n')
        text = lines.pop() ?? ''
        for (const line of lines) this.said.push(JSON.parse(line))
      })
    })
    await new Promise<void>((resolve) => this.#server?.listen(this.#path, resolve))
  }

  send(message: AgentMessage): void {
    this.raw(`${JSON.stringify(message)}\n`)
  }

  raw(text: string): void {
    this.#socket?.write(text)
  }

  /** What the proxy said, from `from` on, once there are that many. */
  async heard(count: number): Promise<readonly unknown[]> {
    await until(() => this.said.length >= count, `${count} messages of the proxy`)
    return this.said
  }

  async stop(): Promise<void> {
    this.#socket?.destroy()
    await new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve()
      else this.#server.close(() => resolve())
    })
    this.#server = undefined
  }
}

async function setUp(t: ExecutionContext) {
  const dir = await mkdtemp(join(tmpdir(), 'shunt-view-'))
  const path = join(dir, 'view')
  const agent = new FakeAgent(path)
  const current = new CurrentView()
  const log = quietLog()
  const client = new ViewClient(
    { path, skLookup: true, pid: 42 },
    { clock: systemClock, random: () => 0, log, current },
  )
  t.teardown(async () => {
    client.close()
    await agent.stop()
    await rm(dir, { recursive: true, force: true })
  })
  return { agent, current, client, log }
}

const HELLO = { kind: 'hello', version: 2, pid: 42, have: null, skLookup: true }

test('it says hello, takes a snapshot and a change, and acknowledges both', async (t) => {
  const { agent, current, client } = await setUp(t)
  await agent.start()
  client.start()
  t.deepEqual(await agent.heard(1), [HELLO])
  agent.send({ kind: 'snapshot', view: view() })
  agent.send({
    kind: 'delta',
    delta: { version: 2, epoch: 'e1', from: 1, to: 2, frontends: { 'node|30080': null }, services: {} },
  })
  t.deepEqual((await agent.heard(3)).slice(1), [
    { kind: 'ack', generation: 1 },
    { kind: 'ack', generation: 2 },
  ])
  t.deepEqual(current.view, view({ generation: 2, frontends: { '10.96.0.10|80': frontend() } }))
  t.is(current.source, 'agent')
})

test('it tells what it has from disk', async (t) => {
  const { agent, current, client } = await setUp(t)
  current.set(view({ generation: 7 }), 'disk')
  await agent.start()
  client.start()
  t.deepEqual(await agent.heard(1), [{ ...HELLO, have: { epoch: 'e1', generation: 7 } }])
})

test('a change that does not fit makes it ask once, and what it has stays', async (t) => {
  const { agent, current, client } = await setUp(t)
  await agent.start()
  client.start()
  await agent.heard(1)
  agent.send({ kind: 'snapshot', view: view() })
  const delta = { version: 2 as const, epoch: 'e1', frontends: {}, services: {} }
  agent.send({ kind: 'delta', delta: { ...delta, from: 5, to: 6 } })
  agent.send({ kind: 'delta', delta: { ...delta, from: 6, to: 7 } })
  agent.send({ kind: 'snapshot', view: view({ generation: 7 }) })
  const said = await agent.heard(4)
  t.deepEqual(said.slice(1), [
    { kind: 'ack', generation: 1 },
    { kind: 'resync', because: 'the change starts at generation 5, ours is 1' },
    { kind: 'ack', generation: 7 },
  ])
  t.is(current.view?.generation, 7)
})

test('a snapshot that is wrong is refused, and what it has stays', async (t) => {
  const { agent, current, client } = await setUp(t)
  await agent.start()
  client.start()
  await agent.heard(1)
  agent.send({ kind: 'snapshot', view: view() })
  agent.raw('{"kind":"snapshot","view":{"version":9}}\n{"kind":"news"}\n')
  const said = await agent.heard(3)
  t.like(said[2], { kind: 'resync' })
  t.is(current.view?.generation, 1)
})

test('garbage on the channel ends the connection, and it comes back', async (t) => {
  const { agent, client } = await setUp(t)
  await agent.start()
  client.start()
  await agent.heard(1)
  agent.raw('garbage\n')
  t.like((await agent.heard(2))[1], { kind: 'hello' })
})

test('it waits for an agent that is not there, and finds it again after it was gone', async (t) => {
  const { agent, current, client, log } = await setUp(t)
  client.start()
  await until(() => log.lines.length > 0, 'it says that nobody answers')
  t.false(client.connected)
  await agent.start()
  await agent.heard(1)
  agent.send({ kind: 'snapshot', view: view() })
  await agent.heard(2)
  await agent.stop()
  await until(() => !client.connected, 'it notices')
  t.is(current.view?.generation, 1)
  await agent.start()
  t.like((await agent.heard(3)).at(-1), { kind: 'hello', have: { epoch: 'e1', generation: 1 } })
})
