// What every engine must do while bytes are relayed: bytes, ends, resets, limits, aborts.

import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { ConnectionId, EngineEvents, RelayOutcome } from '#agent/proxy/engine/engine.ts'
import { echo, pause, readAll, servingPeer, silentPeer, until } from '../../support/peers.ts'
import { connectTo, startEngine, type EngineLab, type OpenEngine } from './engine-lab.ts'
import { anyScript, digest, play, sizeBytes } from './script.ts'

type Limits = NonNullable<Parameters<typeof connectTo>[1]>['limits']

export function relaySuite(name: string, open: OpenEngine): void {
  test.serial(
    `${name}: both directions deliver every byte, in order, then the end, whoever ends first`,
    async (t) => {
      const peer = await servingPeer(t)
      const lab = await startEngine(t, open)
      lab.always(connectTo([peer]))
      await fc.assert(
        fc.asyncProperty(anyScript, anyScript, async (a, b) => {
          // Somebody has to end first.
          const scripts =
            a.ends === 'after the other' ? ([a, { ...b, ends: 'at once' }] as const) : ([a, b] as const)
          const client = lab.dial()
          const endpoint = await peer.nextSocket()
          const [fromEndpoint, fromClient] = await Promise.all([
            play(client, scripts[0], 1),
            play(endpoint, scripts[1], 2),
          ])
          const { end } = await lab.next('ended')
          t.is(end.outcome, 'closed')
          t.is(fromClient, digest(scripts[0], 1))
          t.is(fromEndpoint, digest(scripts[1], 2))
          t.deepEqual(end.bytes, { fromClient: sizeBytes(scripts[0]), fromEndpoint: sizeBytes(scripts[1]) })
        }),
        { numRuns: 25 },
      )
      await until(() => lab.engine.status().connections === 0, 'all are forgotten')
    },
  )

  test.serial(`${name}: living connections tell their bytes so far, and all are counted`, async (t) => {
    const { lab, client, connection } = await relayed(t, open)
    client.write('hello')
    await once(client, 'data')
    await until(() => lab.engine.bytes(connection).fromEndpoint === 5, 'the bytes are counted')
    t.deepEqual(lab.engine.bytes(connection), { fromClient: 5, fromEndpoint: 5 })
    client.end()
    const { end } = await lab.next('ended')
    t.deepEqual(end.bytes, { fromClient: 5, fromEndpoint: 5 })
    t.true(end.durationUs > 0 && end.durationUs < 20_000_000, `${end.durationUs} us`)
    await until(() => {
      const { counters } = lab.engine.status()
      return counters.copied_bytes + counters.spliced_bytes === 10
    }, 'all bytes are counted')
  })

  for (const side of ['client', 'endpoint'] as const)
    test.serial(`${name}: a reset of the ${side} in the middle of a transfer resets the other`, async (t) => {
      const { lab, client, endpoint } = await relayed(t, open, {}, () => {})
      const [from, to] = side === 'client' ? [client, endpoint] : [endpoint, client]
      const seen = readAll(to)
      from.write(Buffer.alloc(200_000))
      await once(to, 'data')
      from.resetAndDestroy()
      t.is((await seen).ending, 'reset')
      t.is((await lab.next('ended')).end.outcome, `reset-by-${side}`)
    })

  for (const side of ['client', 'endpoint'] as const)
    for (const closedBy of ['client', 'endpoint'] as const)
      test.serial(
        `${name}: a reset of the ${side} after the ${closedBy} sent its end resets the other`,
        async (t) => {
          const { lab, client, endpoint } = await relayed(t, open, {}, () => {})
          const [first, second] = closedBy === 'client' ? [client, endpoint] : [endpoint, client]
          second.resume()
          first.end('last')
          await once(second, 'end')
          const [from, to] = side === 'client' ? [client, endpoint] : [endpoint, client]
          from.resetAndDestroy()
          // Node does not watch a socket whose end it has read: a reset is noticed by writing to it.
          if (to !== first) await untilReset(to)
          else t.is((await readAll(to)).ending, 'reset')
          t.is((await lab.next('ended')).end.outcome, `reset-by-${side}`)
        },
      )

  test.serial(
    `${name}: a side that does not read is not read for, and gets everything once it does`,
    async (t) => {
      const { lab, client, endpoint, connection } = await relayed(
        t,
        open,
        {},
        (socket) => void socket.pause(),
      )
      const totalBytes = 64 * 1024 * 1024
      client.end(Buffer.alloc(totalBytes))
      let last = -1
      let still = 0
      await until(() => {
        const now = lab.engine.bytes(connection).fromClient
        still = now > 0 && now === last ? still + 1 : 0
        last = now
        return still > 20
      }, 'reading stops')
      // Socket buffers of the kernel on three legs, and what the engine holds; far from everything.
      t.true(last < 32 * 1024 * 1024, `${last} bytes were read`)
      let got = 0
      endpoint.on('data', (chunk: Buffer) => (got += chunk.length)).resume()
      await once(endpoint, 'end')
      t.is(got, totalBytes)
      endpoint.end()
      t.is((await lab.next('ended')).end.bytes.fromClient, totalBytes)
    },
  )

  const LIMIT_ROWS: readonly [RelayOutcome, Limits, (client: Socket) => void][] = [
    ['silent', { silentMs: 200 }, () => {}],
    ['idle', { idleMs: 200 }, (client) => void client.write('x')],
    ['idle-half-closed', { halfClosedMs: 200 }, (client) => void client.end('x')],
  ]
  for (const [outcome, limits, prepare] of LIMIT_ROWS)
    test.serial(`${name}: silence ends as ${outcome}, with a reset of both`, async (t) => {
      const { lab, client, endpoint } = await relayed(
        t,
        open,
        limits,
        (socket) => void socket.resume(),
        prepare,
      )
      t.is((await readAll(client)).ending, 'reset')
      await untilReset(endpoint)
      t.is((await lab.next('ended')).end.outcome, outcome)
    })

  test.serial(`${name}: the idle time counts from the last byte`, async (t) => {
    const startMs = performance.now()
    const { lab, client } = await relayed(t, open, { idleMs: 500 }, (socket) => void socket.resume())
    for (const delayMs of [0, 250, 500]) setTimeout(() => client.write('x'), delayMs)
    t.is((await readAll(client)).ending, 'reset')
    const tookMs = performance.now() - startMs
    t.true(tookMs >= 990 && tookMs < 5_000, `${tookMs} ms`)
    t.like((await lab.next('ended')).end, { outcome: 'idle', bytes: { fromClient: 3 } })
  })

  test.serial(`${name}: a life time ends even a busy connection`, async (t) => {
    const startMs = performance.now()
    const { lab, client } = await relayed(t, open, { lifetimeMs: 300 })
    const busy = setInterval(() => client.write('x'), 20)
    t.teardown(() => clearInterval(busy))
    t.is((await readAll(client)).ending, 'reset')
    clearInterval(busy)
    const tookMs = performance.now() - startMs
    t.true(tookMs >= 290 && tookMs < 5_000, `${tookMs} ms`)
    t.is((await lab.next('ended')).end.outcome, 'lifetime')
  })

  test.serial(`${name}: limits longer than any timer of the system end nothing early`, async (t) => {
    const monthsMs = 100 * 24 * 3_600_000
    const { lab, client, connection } = await relayed(t, open, {
      idleMs: monthsMs,
      silentMs: monthsMs,
      halfClosedMs: monthsMs,
      lifetimeMs: monthsMs,
    })
    await pause(100)
    client.end('x')
    t.is((await readAll(client)).data.toString(), 'x')
    await lab.next('ended')
    t.is(lab.story(connection).at(-1), 'ended closed')
  })

  test.serial(`${name}: an abort resets a connection in any state, once`, async (t) => {
    const hole = await silentPeer(t)
    const peer = await servingPeer(t, (socket) => void socket.resume())
    const rows = {
      accepted: async () => {},
      peeking: async (lab: EngineLab, id: ConnectionId) =>
        lab.engine.decide(id, { kind: 'peek', atLeastBytes: 9, timeoutMs: 10_000 }),
      connecting: async (lab: EngineLab, id: ConnectionId) => lab.engine.decide(id, connectTo([hole])),
      relaying: async (lab: EngineLab, id: ConnectionId) => {
        lab.engine.decide(id, connectTo([peer]))
        await lab.next('connected')
      },
      'half-closed': async (lab: EngineLab, id: ConnectionId, client: Socket) => {
        lab.engine.decide(id, connectTo([peer]))
        await lab.next('connected')
        client.end()
        await once(await peer.nextSocket(), 'end')
      },
    }
    for (const [state, prepare] of Object.entries(rows)) {
      const lab = await startEngine(t, open)
      const client = lab.dial()
      const { connection } = await lab.next('accepted')
      await prepare(lab, connection, client)
      await pause(20)
      const seen = readAll(client)
      lab.engine.abort(connection)
      lab.engine.abort(connection)
      t.is((await seen).ending, 'reset', state)
      t.is((await lab.next('ended')).end.outcome, 'aborted', state)
      lab.engine.abort(connection)
      await until(() => lab.engine.status().connections === 0, 'it is forgotten')
      // Its connection is not the next one's.
      if (state === 'relaying') await peer.nextSocket()
    }
  })

  test.serial(`${name}: an abort right behind an end leaves nothing open`, async (t) => {
    for (let i = 0; i < 20; i++) {
      const { lab, client, connection } = await relayed(t, open, {}, (socket) => {
        socket.resume().once('end', () => socket.end())
      })
      client.end('x')
      if (i % 2 === 0) await pause(1)
      lab.engine.abort(connection)
      t.true(['aborted', 'closed'].includes((await lab.next('ended')).end.outcome))
      await until(() => lab.engine.status().connections === 0, 'it is forgotten')
      lab.engine.close()
    }
  })

  test.serial(`${name}: a reader that does not read holds up nobody else`, async (t) => {
    const slow = await servingPeer(t, (socket) => void socket.pause())
    const fast = await servingPeer(t, echo)
    const lab = await startEngine(t, open)
    const [first, second] = [lab.dial(), lab.dial()]
    for (let i = 0; i < 2; i++) {
      const { connection, client } = await lab.next('accepted')
      lab.engine.decide(connection, connectTo([client.port === first.localPort ? slow : fast]))
    }
    first.write(Buffer.alloc(32 * 1024 * 1024))
    await pause(100)
    for (let i = 0; i < 50; i++) {
      second.write('ping')
      await once(second, 'data')
    }
    t.true(first.writableLength > 0, 'the first one still waits')
  })

  test.serial(`${name}: closing the engine resets everything and tells nothing more`, async (t) => {
    const { lab, client, connection } = await relayed(t, open)
    const waiting = lab.dial()
    await lab.next('accepted')
    const seen = [readAll(client), readAll(waiting)]
    lab.engine.close()
    lab.engine.close()
    for (const each of seen) t.is((await each).ending, 'reset')
    await pause(50)
    t.deepEqual(lab.story(connection), ['accepted', 'connected 0'])
  })

  for (const kind of ['accepted', 'readable', 'connected', 'handedOver', 'ended'] as const)
    test.serial(
      `${name}: an engine can be closed by whoever hears ${kind}, and nothing stays open`,
      async (t) => {
        const peer = await servingPeer(t, (socket) => void socket.resume().end())
        let closed = false
        const lab = await startEngine(t, async (t, events, host) => {
          const close = (): void => {
            closed = true
            opened.engine.close()
          }
          const opened = await open(t, { ...events, ...closing(kind, close) }, host)
          return opened
        })
        const clients = Array.from({ length: 5 }, () => lab.dial())
        let seen = 0
        for (const client of clients)
          client
            .resume()
            .on('end', () => seen++)
            .on('error', () => seen++)
        if (kind === 'readable') lab.always({ kind: 'peek', atLeastBytes: 1, timeoutMs: 10_000 })
        else lab.always(kind === 'handedOver' ? { kind: 'handOver' } : connectTo([peer]))
        for (const client of clients) client.write('x')
        if (kind === 'ended') for (const client of clients) client.end()
        await until(() => closed, 'it was closed')
        lab.engine.close()
        const told = lab.count()
        // Others may wait in the queue of the listener, which is not the engine's.
        await until(() => seen > 0, 'a client hears')
        await until(
          () => peer.sockets.every((socket) => socket.closed || socket.readableEnded),
          'endpoints hear',
        )
        t.is(lab.count(), told)
      },
    )

  test.serial(`${name}: an engine that lives goes round`, async (t) => {
    const lab = await startEngine(t, open)
    await pause(1_500)
    t.true(performance.now() - lab.engine.lastTurnMs() < 1_400)
  })
}

interface Relayed {
  readonly lab: EngineLab
  readonly client: Socket
  readonly endpoint: Socket
  readonly connection: ConnectionId
}

/** Writes until the socket is closed, which must be by a reset. */
async function untilReset(socket: Socket): Promise<void> {
  let code: string | undefined
  socket.on('error', (error: NodeJS.ErrnoException) => (code ??= error.code))
  await until(() => {
    if (!socket.closed) socket.write('x')
    return socket.closed
  }, 'the socket is reset')
  if (socket.errored === null) throw new Error(`it was closed, not reset: ${code ?? 'no error'}`)
}

/** A relayed connection. What `prepare` does comes first, so that a busy machine does not make a silence of it. */
async function relayed(
  t: ExecutionContext,
  open: OpenEngine,
  limits: Limits = {},
  serve: (socket: Socket) => void = echo,
  prepare: (client: Socket) => void = () => {},
): Promise<Relayed> {
  const peer = await servingPeer(t, serve)
  const lab = await startEngine(t, open)
  const client = lab.dial()
  prepare(client)
  const { connection } = await lab.next('accepted')
  await pause(5)
  lab.engine.decide(connection, connectTo([peer], { limits: limits ?? {} }))
  await lab.next('connected')
  return { lab, client, endpoint: await peer.nextSocket(), connection }
}

/** Events of which one kind closes the engine before anybody hears of it. */
function closing(kind: keyof EngineEvents, close: () => void): Partial<EngineEvents> {
  if (kind !== 'handedOver') return { [kind]: close }
  return {
    handedOver: (_, socket) => {
      close()
      socket.destroy()
    },
  }
}
