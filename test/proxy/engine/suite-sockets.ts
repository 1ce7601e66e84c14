// What every engine must do with descriptors that others made: listeners that come and go, connections to adopt. For
// tests with the addon, which alone can make them.

import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Fd, Native } from '#agent/kernel/native-types.ts'
import { parseIp } from '#agent/model/ip.ts'
import type { Engine, EngineEvents } from '#agent/proxy/engine/engine.ts'
import { listenOnLoopback } from '../../support/native-listener.ts'
import { echo, pause, readAll, servingPeer, until, type Peer } from '../../support/peers.ts'
import { connectTo, LIMITS, startEngine, type EngineLab, type OpenEngine } from './engine-lab.ts'

export type MakeEngine = (events: EngineEvents, port: number) => Engine

/** The suites' way to open an engine, on a listener of the addon's. */
export function onListener(native: Native, make: MakeEngine): OpenEngine {
  return async (t, events, host) => {
    const ip = parseIp(host)
    if (ip === undefined) throw new Error(`${host} is no address`)
    const { fd, port } = await listenOnLoopback(t, native, ip)
    const engine = make(events, port)
    engine.addListener(fd)
    return { engine, port }
  }
}

export function socketSuite(name: string, native: Native, make: MakeEngine): void {
  const onFd =
    (fd: Fd, port: number): OpenEngine =>
    async (_, events) => {
      const engine = make(events, port)
      engine.addListener(fd)
      return { engine, port }
    }

  test.serial(
    `${name}: a listener that was taken away is the caller's, and what was accepted lives on`,
    async (t) => {
      const peer = await servingPeer(t, echo)
      const { fd, port } = await listenOnLoopback(t, native, peer.ip)
      const lab = await startEngine(t, onFd(fd, port))
      lab.always(connectTo([peer]))
      const before = lab.dial()
      before.write('x')
      await once(before, 'data')
      await lab.next('accepted')

      await lab.engine.removeListener(fd)
      const late = lab.dial()
      await once(late, 'connect')
      const unheard = await Promise.race([
        lab.next('accepted').catch(() => {}),
        pause(150).then(() => 'nothing'),
      ])
      t.is(unheard, 'nothing')
      before.write('y')
      t.is(String((await once(before, 'data'))[0]), 'y')

      // It waited in the queue of a socket that is still open.
      lab.engine.addListener(fd)
      late.end('late')
      t.is((await readAll(late)).data.toString(), 'late')
    },
  )

  test.serial(
    `${name}: a listener goes from engine to engine under load, and no connection is lost`,
    async (t) => {
      const peer = await servingPeer(t, echo)
      const { fd, port } = await listenOnLoopback(t, native, peer.ip)
      const first = await startEngine(t, onFd(fd, port))
      const second = await startEngine(t, async (_, events) => ({ engine: make(events, port), port }))
      for (const lab of [first, second]) lab.always(connectTo([peer]))
      const answers: Promise<string>[] = []
      const load = setInterval(() => {
        const client = first.dial()
        client.end('hello')
        answers.push(readAll(client).then(({ data, ending }) => `${data.toString()} ${ending}`))
      }, 2)
      t.teardown(() => clearInterval(load))
      let [from, to] = [first, second]
      for (let i = 0; i < 20; i++) {
        await pause(20)
        // As a hand-over does: the other accepts before this one stops.
        to.engine.addListener(fd)
        await from.engine.removeListener(fd)
        ;[from, to] = [to, from]
      }
      clearInterval(load)
      const seen = await Promise.all(answers)
      t.true(seen.length > 50, `${seen.length} connections`)
      t.deepEqual(new Set(seen), new Set(['hello end']))
      t.true(first.engine.status().counters.copied_bytes > 0)
      t.true(second.engine.status().counters.copied_bytes > 0)
    },
  )

  test.serial(`${name}: an adopted connection is relayed behind what was read of it before`, async (t) => {
    const { lab, client, endpoint, connection } = await adopted(t, native, make)
    t.is(String((await once(endpoint, 'data'))[0]), 'request')
    t.is(String((await once(client, 'data'))[0]), 'answer')
    client.write('more')
    t.is(String((await once(endpoint, 'data'))[0]), 'more')
    await until(() => lab.engine.bytes(connection).fromClient >= 4, 'its bytes are counted')
    endpoint.end('bye')
    t.is((await readAll(client)).data.toString(), 'bye')
    client.end()
    const ended = await lab.next('ended')
    t.is(ended.connection, connection)
    t.is(ended.end.outcome, 'closed')
    t.deepEqual(lab.story(connection), ['ended closed'])
  })

  test.serial(`${name}: an adopted connection can be aborted at once`, async (t) => {
    const { lab, client, endpoint, connection } = await adopted(t, native, make)
    const seen = [readAll(client), readAll(endpoint)]
    lab.engine.abort(connection)
    for (const each of seen) t.is((await each).ending, 'reset')
    t.is((await lab.next('ended')).end.outcome, 'aborted')
  })
}

async function adopted(
  t: ExecutionContext,
  native: Native,
  make: MakeEngine,
): Promise<{
  lab: EngineLab
  client: Socket
  endpoint: Socket
  connection: number
}> {
  const lab = await startEngine(t, onListener(native, make))
  const [first, second] = [await servingPeer(t), await servingPeer(t)]
  const legs = [await connectedFd(native, first), await connectedFd(native, second)] as const
  const [client, endpoint] = [await first.nextSocket(), await second.nextSocket()]
  const connection = lab.engine.adopt(legs[0], legs[1], LIMITS, {
    toEndpoint: Buffer.from('request'),
    toClient: Buffer.from('answer'),
  })
  return { lab, client, endpoint, connection }
}

async function connectedFd(native: Native, to: Peer): Promise<Fd> {
  const connector = native.connector()
  const result = await connector.connect({ ip: to.ip, port: to.port }).result
  connector.close()
  if (result.kind === 'failed') throw new Error(`no connection: ${result.code}`)
  return result.fd
}
