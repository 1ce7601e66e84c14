import test, { type ExecutionContext } from 'ava'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMetrics } from '#agent/observe/metrics.ts'
import { systemClock } from '#agent/kernel/clock.ts'
import { claimSocketPath } from '#agent/observe/unix-socket.ts'
import {
  VIEW_VERSION,
  type AgentMessage,
  type ProxyMessage,
  type ProxyView,
} from '#agent/proxy/decision/view.ts'
import { createViewServer } from '#agent/sync/view-server.ts'
import { quietLog } from '#test/support/quiet-log.ts'

const EPOCH = 'e1'

function view(generation: number, epoch = EPOCH): ProxyView {
  const node = { name: `n${generation}`, podCidrs: [], addresses: [] }
  return { version: VIEW_VERSION, epoch, generation, node, frontends: {}, services: {} }
}

async function setUp(t: ExecutionContext) {
  const folder = await mkdtemp(join(tmpdir(), 'shunt-view-'))
  const path = join(folder, 'view')
  const metrics = createMetrics({ onMisuse: (message) => t.fail(message) })
  const gone = { count: 0 }
  const server = createViewServer({
    path,
    claim: () => claimSocketPath(path),
    own: () => Promise.resolve(),
    diff: (from, to) => ({
      version: VIEW_VERSION,
      epoch: to.epoch,
      from: from.generation,
      to: to.generation,
      node: to.node,
      frontends: {},
      services: {},
    }),
    onLastGone: () => gone.count++,
    clock: systemClock,
    log: quietLog(),
    metrics,
  })
  await server.listen()
  t.teardown(async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { server, metrics, path, gone }
}

interface Client {
  readonly socket: Socket
  send(message: ProxyMessage | string): void
  /** The next message; fails after a second. */
  next(): Promise<AgentMessage>
  closed: boolean
  readonly waiting: AgentMessage[]
}

async function client(t: ExecutionContext, path: string): Promise<Client> {
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  t.teardown(() => socket.destroy())
  let buffer = ''
  const made: Client = {
    socket,
    waiting: [],
    closed: false,
    send: (message) =>
      void socket.write(typeof message === 'string' ? message : `${JSON.stringify(message)}\n`),
    async next() {
      for (let i = 0; i < 200 && made.waiting.length === 0; i++) await sleep(5)
      const message = made.waiting.shift()
      if (message === undefined) throw new Error('no message came')
      return message
    },
  }
  socket.on('error', () => {})
  socket.once('close', () => (made.closed = true))
  socket.on('data', (data) => {
    buffer += data.toString()
    for (let end = buffer.indexOf('\n'); end >= 0; end = buffer.indexOf('\n')) {
      made.waiting.push(JSON.parse(buffer.slice(0, end)) as AgentMessage)
      buffer = buffer.slice(end + 1)
    }
  })
  return made
}

function hello(have: { epoch: string; generation: number } | null): ProxyMessage {
  return { kind: 'hello', version: VIEW_VERSION, pid: 7, have, skLookup: true }
}

test('a proxy with nothing gets a snapshot, then deltas from what it acknowledged', async (t) => {
  const { server, metrics, path } = await setUp(t)
  server.publish(view(1))
  const proxy = await client(t, path)
  proxy.send(hello(null))
  t.deepEqual(await proxy.next(), { kind: 'snapshot', view: view(1) })
  t.is(server.proxies()[0]?.ackedGeneration, undefined)
  proxy.send({ kind: 'ack', generation: 1 })
  t.is(await server.acked(1, 1_000), 'acked')
  t.like(server.proxies()[0], { pid: 7, skLookup: true, ackedGeneration: 1 })
  t.is(metrics.value('shunt_view_subscribers'), 1)

  server.publish(view(2))
  t.like(await proxy.next(), { kind: 'delta', delta: { from: 1, to: 2 } })
})

test('it is told when the last proxy goes, but not that a second one did, nor that it was closed itself', async (t) => {
  const { server, path, gone } = await setUp(t)
  server.publish(view(1))
  const proxies = await Promise.all([client(t, path), client(t, path)])
  for (const proxy of proxies) {
    proxy.send(hello(null))
    await proxy.next()
  }
  const [first, second] = proxies
  const left = async (count: number): Promise<void> => {
    for (let i = 0; i < 200 && server.proxies().length !== count; i++) await sleep(5)
    t.is(server.proxies().length, count)
  }
  first?.socket.destroy()
  await left(1)
  t.is(gone.count, 0)
  second?.socket.destroy()
  await left(0)
  t.is(gone.count, 1)

  const third = await client(t, path)
  third.send(hello(null))
  await third.next()
  await server.close()
  await left(0)
  t.is(gone.count, 1)
})

test('while one message is under way, changes are gathered into one', async (t) => {
  const { server, path } = await setUp(t)
  server.publish(view(1))
  const proxy = await client(t, path)
  proxy.send(hello(null))
  await proxy.next()
  for (let generation = 2; generation <= 50; generation++) server.publish(view(generation))
  await sleep(50)
  t.deepEqual(proxy.waiting, [])
  proxy.send({ kind: 'ack', generation: 1 })
  t.like(await proxy.next(), { kind: 'delta', delta: { from: 1, to: 50 } })
})

test('a proxy that comes back with what is current gets nothing; with anything else a snapshot', async (t) => {
  const { server, path } = await setUp(t)
  server.publish(view(5))
  const same = await client(t, path)
  same.send(hello({ epoch: EPOCH, generation: 5 }))
  for (let i = 0; i < 100 && server.proxies().length === 0; i++) await sleep(5)
  t.is(await server.acked(5, 1_000), 'acked')
  t.deepEqual(same.waiting, [])
  for (const have of [
    { epoch: EPOCH, generation: 4 },
    { epoch: 'other', generation: 5 },
  ]) {
    const other = await client(t, path)
    other.send(hello(have))
    t.is((await other.next()).kind, 'snapshot')
  }
})

test('waiting for an acknowledgement is bounded, and pointless without a proxy', async (t) => {
  const { server, path } = await setUp(t)
  server.publish(view(1))
  t.is(await server.acked(1, 60_000), 'no-proxy')
  const proxy = await client(t, path)
  proxy.send(hello(null))
  await proxy.next()
  t.is(await server.acked(1, 30), 'timeout')
  const gone = server.acked(1, 60_000)
  proxy.socket.destroy()
  t.is(await gone, 'no-proxy')
})

test('a proxy that could not apply a delta gets a snapshot at once', async (t) => {
  const { server, path } = await setUp(t)
  server.publish(view(1))
  const proxy = await client(t, path)
  proxy.send(hello(null))
  await proxy.next()
  proxy.send({ kind: 'ack', generation: 1 })
  server.publish(view(2))
  t.is((await proxy.next()).kind, 'delta')
  proxy.send({ kind: 'resync', because: 'lost a piece' })
  t.deepEqual(await proxy.next(), { kind: 'snapshot', view: view(2) })
})

test('a proxy that refuses snapshots gets them no faster than once a second', async (t) => {
  const { server, path } = await setUp(t)
  server.publish(view(1))
  const proxy = await client(t, path)
  proxy.send(hello(null))
  await proxy.next()
  proxy.send({ kind: 'resync', because: 'it is bad' })
  await sleep(300)
  t.deepEqual(proxy.waiting, [])
  await sleep(800)
  t.is(proxy.waiting.length, 1)
})

const NONSENSE: readonly (readonly [string, string])[] = [
  ['no JSON', 'hello\n'],
  ['a list', '[]\n'],
  ['an unknown kind', '{"kind":"sudo"}\n'],
  ['another version', '{"kind":"hello","version":99,"pid":1,"have":null,"skLookup":false}\n'],
  ['a hello without pid', '{"kind":"hello","version":1,"have":null,"skLookup":false}\n'],
  ['a bad `have`', '{"kind":"hello","version":1,"pid":1,"have":{"epoch":1},"skLookup":false}\n'],
  ['an endless line', 'x'.repeat(20_000)],
]

for (const [name, bytes] of NONSENSE)
  test(`a client that sends ${name} is cut off and harms nobody`, async (t) => {
    const { server, path } = await setUp(t)
    server.publish(view(1))
    const good = await client(t, path)
    good.send(hello(null))
    await good.next()
    const bad = await client(t, path)
    bad.send(bytes)
    for (let i = 0; i < 100 && !bad.closed; i++) await sleep(5)
    t.true(bad.closed)
    t.false(good.closed)
    t.is(server.proxies().length, 1)
  })

test('more clients than a few are refused', async (t) => {
  const { path } = await setUp(t)
  const clients: Client[] = []
  for (let i = 0; i < 10; i++) clients.push(await client(t, path))
  await sleep(50)
  t.is(clients.filter(({ closed }) => closed).length, 2)
})
