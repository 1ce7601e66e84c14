// What every engine must do before bytes are relayed: tell, wait for verdicts, peek, connect, refuse, hand over.

import test from 'ava'
import { once } from 'node:events'
import { echo, pause, readAll, refusingPeer, servingPeer, silentPeer, until } from '../../support/peers.ts'
import { connectTo, startEngine, type OpenEngine } from './engine-lab.ts'

export function decisionSuite(name: string, open: OpenEngine): void {
  for (const host of ['127.0.0.1', '::1'] as const)
    test.serial(
      `${name}: an accepted connection is told with what ${host === '::1' ? 'an IPv6' : 'a'} client is and dialled`,
      async (t) => {
        const lab = await startEngine(t, open, host)
        const client = lab.dial()
        await once(client, 'connect')
        const told = await lab.next('accepted')
        t.deepEqual({ ...told.client }, { ip: host, port: client.localPort } as never)
        // Nobody translated it, of which conntrack may know nothing.
        if (told.destination !== undefined)
          t.deepEqual({ ...told.destination }, { ip: host, port: lab.port } as never)
        await until(() => lab.engine.status().connections === 1, 'it is counted')
      },
    )

  test.serial(`${name}: a refusal is a reset, told once, and frees the connection`, async (t) => {
    const lab = await startEngine(t, open)
    const client = lab.dial()
    const { connection } = await lab.next('accepted')
    lab.engine.decide(connection, { kind: 'refuse' })
    t.is((await readAll(client)).ending, 'reset')
    const { end } = await lab.next('ended')
    t.is(end.outcome, 'refused')
    t.deepEqual(end.bytes, { fromClient: 0, fromEndpoint: 0 })
    await until(() => lab.engine.status().connections === 0, 'it is forgotten')
    t.deepEqual(lab.story(connection), ['accepted', 'ended refused'])
  })

  test.serial(`${name}: nothing is told from within a call of the engine`, async (t) => {
    const lab = await startEngine(t, open)
    lab.dial()
    const { connection } = await lab.next('accepted')
    lab.engine.decide(connection, { kind: 'refuse' })
    t.deepEqual(lab.story(connection), ['accepted'])
    await lab.next('ended')
  })

  test.serial(`${name}: a refused endpoint is told, and the next candidate is tried`, async (t) => {
    const [bad, good] = [await refusingPeer(), await servingPeer(t, echo)]
    const lab = await startEngine(t, open)
    lab.always(connectTo([bad, bad, good]))
    const client = lab.dial()
    client.end('early')
    const { data, ending } = await readAll(client)
    t.is(data.toString(), 'early')
    t.is(ending, 'end')
    const { connection } = await lab.next('ended')
    t.deepEqual(lab.story(connection), [
      'accepted',
      'attemptFailed 0 ECONNREFUSED',
      'attemptFailed 1 ECONNREFUSED',
      'connected 2',
      'ended closed',
    ])
  })

  test.serial(
    `${name}: an end without a byte while the endpoint is being reached arrives, and the answer comes back`,
    async (t) => {
      const good = await servingPeer(t, (socket) => void socket.resume().once('end', () => socket.end('bye')))
      const lab = await startEngine(t, open)
      lab.always(connectTo([await refusingPeer(), good]))
      const client = lab.dial()
      client.end()
      t.is((await readAll(client)).data.toString(), 'bye')
    },
  )

  test.serial(`${name}: a black hole costs one attempt, then the next candidate is tried`, async (t) => {
    const [hole, good] = [await silentPeer(t), await servingPeer(t, echo)]
    const lab = await startEngine(t, open)
    lab.always(connectTo([hole, good], { attemptTimeoutMs: 200 }))
    const client = lab.dial()
    client.end('x')
    t.is((await readAll(client)).data.toString(), 'x')
    const failed = await lab.next('attemptFailed')
    t.like(failed, { index: 0, code: 'ETIMEDOUT' })
    t.true(failed.durationUs >= 190_000 && failed.durationUs < 5_000_000, `${failed.durationUs} us`)
    t.is((await lab.next('connected')).index, 1)
  })

  test.serial(
    `${name}: only black holes are exhausted at the deadline, which the last one may use up`,
    async (t) => {
      const hole = await silentPeer(t)
      const lab = await startEngine(t, open)
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      const startMs = performance.now()
      lab.engine.decide(connection, connectTo([hole, hole], { attemptTimeoutMs: 100, deadlineMs: 500 }))
      await lab.next('exhausted')
      const tookMs = performance.now() - startMs
      t.true(tookMs >= 490 && tookMs < 5_000, `${tookMs} ms`)
      lab.engine.decide(connection, { kind: 'refuse' })
      t.is((await readAll(client)).ending, 'reset')
      await lab.next('ended')
      t.deepEqual(lab.story(connection), [
        'accepted',
        'attemptFailed 0 ETIMEDOUT',
        'attemptFailed 1 ETIMEDOUT',
        'exhausted',
        'ended refused',
      ])
    },
  )

  test.serial(
    `${name}: after all candidates failed the client waits for a second verdict, and loses nothing`,
    async (t) => {
      const [bad, good] = [await refusingPeer(), await servingPeer(t, echo)]
      const lab = await startEngine(t, open)
      const client = lab.dial()
      client.write('early')
      const { connection } = await lab.next('accepted')
      lab.engine.decide(connection, connectTo([bad]))
      await lab.next('exhausted')
      client.end(' and late')
      await pause(30)
      lab.engine.decide(connection, connectTo([bad, good]))
      t.is((await readAll(client)).data.toString(), 'early and late')
      t.is((await lab.next('ended')).end.bytes.fromClient, 14)
    },
  )

  for (const [state, verdict] of Object.entries({
    accepted: undefined,
    peeking: { kind: 'peek', atLeastBytes: 100, timeoutMs: 10_000 },
  } as const))
    test.serial(
      `${name}: a client that resets while ${state} is gone, and a late verdict is ignored`,
      async (t) => {
        const lab = await startEngine(t, open)
        const client = lab.dial()
        const { connection } = await lab.next('accepted')
        if (verdict !== undefined) lab.engine.decide(connection, verdict)
        await pause(20)
        client.resetAndDestroy()
        await pause(50)
        // An engine may keep what has to be decided until it is.
        lab.engine.decide(connection, { kind: 'refuse' })
        lab.engine.abort(connection)
        const { end } = await lab.next('ended')
        t.is(end.outcome, 'client-gone')
        lab.engine.decide(connection, { kind: 'refuse' })
        lab.engine.abort(connection)
        t.is(lab.engine.peek(connection, 10).length, 0)
        await pause(20)
        t.is(lab.story(connection).at(-1), 'ended client-gone')
        await until(() => lab.engine.status().connections === 0, 'it is forgotten')
      },
    )

  test.serial(
    `${name}: a client that resets while the endpoint is being reached ends the attempt`,
    async (t) => {
      const hole = await silentPeer(t)
      const lab = await startEngine(t, open)
      lab.always(connectTo([hole]))
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      await pause(20)
      client.write('x')
      await pause(20)
      client.resetAndDestroy()
      t.is((await lab.next('ended')).end.outcome, 'client-gone')
      t.deepEqual(lab.story(connection), ['accepted', 'ended client-gone'])
    },
  )

  test.serial(
    `${name}: a peek waits for all the bytes that it wants, leaves them, and can be repeated`,
    async (t) => {
      const good = await servingPeer(t, echo)
      const lab = await startEngine(t, open)
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 5, timeoutMs: 10_000 })
      for (const letter of 'hello') {
        client.write(letter)
        await pause(5)
      }
      t.like(await lab.next('readable'), { waiting: 5, over: false })
      t.is(Buffer.from(lab.engine.peek(connection, 3)).toString(), 'hel')
      t.is(Buffer.from(lab.engine.peek(connection, 100)).toString(), 'hello')
      lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 11, timeoutMs: 10_000 })
      client.write(' world')
      t.is((await lab.next('readable')).waiting, 11)
      t.is(Buffer.from(lab.engine.peek(connection, 100)).toString(), 'hello world')
      lab.engine.decide(connection, connectTo([good]))
      client.end('!')
      t.is((await readAll(client)).data.toString(), 'hello world!')
      t.deepEqual((await lab.next('ended')).end.bytes, { fromClient: 12, fromEndpoint: 12 })
    },
  )

  test.serial(
    `${name}: a peek is over when the client sends no more, with what came; it is relayed all the same`,
    async (t) => {
      const good = await servingPeer(t, echo)
      const lab = await startEngine(t, open)
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      client.write('ab')
      await pause(20)
      lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 5, timeoutMs: 10_000 })
      client.end('c')
      t.like(await lab.next('readable'), { waiting: 3, over: true })
      t.is(Buffer.from(lab.engine.peek(connection, 10)).toString(), 'abc')
      lab.engine.decide(connection, connectTo([good]))
      const { data, ending } = await readAll(client)
      t.is(data.toString(), 'abc')
      t.is(ending, 'end')
    },
  )

  test.serial(`${name}: a peek at a client that ended without a byte is over at once`, async (t) => {
    const lab = await startEngine(t, open)
    lab.dial().end()
    const { connection } = await lab.next('accepted')
    await pause(30)
    lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 1, timeoutMs: 60_000 })
    t.like(await lab.next('readable'), { waiting: 0, over: true })
    t.is(lab.engine.peek(connection, 10).length, 0)
  })

  test.serial(`${name}: a peek is over when its time is`, async (t) => {
    const lab = await startEngine(t, open)
    lab.dial().write('abc')
    const { connection } = await lab.next('accepted')
    const startMs = performance.now()
    lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 5, timeoutMs: 150 })
    t.like(await lab.next('readable'), { waiting: 3, over: true })
    const tookMs = performance.now() - startMs
    t.true(tookMs >= 140 && tookMs < 5_000, `${tookMs} ms`)
  })

  test.serial(
    `${name}: what was read is skipped, and the endpoint hears the prefix first; neither is payload`,
    async (t) => {
      const good = await servingPeer(t)
      const lab = await startEngine(t, open)
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      client.write('HEADER')
      lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 6, timeoutMs: 10_000 })
      await lab.next('readable')
      lab.engine.decide(connection, connectTo([good], { skipBytes: 6, prefix: Buffer.from('prefix:') }))
      const socket = await good.nextSocket()
      const heard = readAll(socket)
      await pause(20)
      client.end('payload')
      t.is((await heard).data.toString(), 'prefix:payload')
      socket.end()
      t.deepEqual((await lab.next('ended')).end.bytes, { fromClient: 7, fromEndpoint: 0 })
    },
  )

  test.serial(
    `${name}: the prefix goes to an endpoint that only talks to a silent client, too`,
    async (t) => {
      const good = await servingPeer(t)
      const lab = await startEngine(t, open)
      lab.always(connectTo([good], { prefix: Buffer.alloc(72, 'p') }))
      const client = lab.dial()
      const socket = await good.nextSocket()
      const heard = readAll(socket)
      socket.write('banner')
      t.is(String((await once(client, 'data'))[0]), 'banner')
      client.end()
      t.is((await heard).data.toString(), 'p'.repeat(72))
      socket.end()
      t.is((await lab.next('ended')).end.outcome, 'closed')
    },
  )

  for (const peeked of [false, true])
    test.serial(
      `${name}: a connection is handed over as it is${peeked ? ', bytes that were looked at and an early end included' : ''}`,
      async (t) => {
        const lab = await startEngine(t, open)
        const client = lab.dial()
        const { connection } = await lab.next('accepted')
        if (peeked) {
          client.end('GET /')
          lab.engine.decide(connection, { kind: 'peek', atLeastBytes: 100, timeoutMs: 10_000 })
          t.true((await lab.next('readable')).over)
          t.is(lab.engine.peek(connection, 100).length, 5)
        }
        lab.engine.decide(connection, { kind: 'handOver' })
        const { socket } = await lab.next('handedOver')
        t.teardown(() => void socket.destroy())
        await until(() => lab.engine.status().connections === 0, 'it is forgotten')
        const heard = readAll(socket.resume())
        if (!peeked) client.end('GET /')
        const { data, ending } = await heard
        t.is(data.toString(), 'GET /')
        t.is(ending, 'end')
        socket.end('200')
        t.is((await readAll(client)).data.toString(), '200')
        // Late news changes nothing for a connection that is somebody else's.
        lab.engine.abort(connection)
      },
    )

  test.serial(`${name}: many connections at once, each decided and answered for itself`, async (t) => {
    const [bad, good] = [await refusingPeer(), await servingPeer(t, echo)]
    const lab = await startEngine(t, open)
    lab.always(connectTo([bad, good]))
    const answers = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const client = lab.dial()
        client.end(`connection ${i}`)
        return (await readAll(client)).data.toString()
      }),
    )
    t.deepEqual(
      answers,
      answers.map((_, i) => `connection ${i}`),
    )
    await until(() => lab.engine.status().connections === 0, 'all end')
  })
}
