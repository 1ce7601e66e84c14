// Many connections at once, each with a client, an endpoint and verdicts that do anything at any time: every connection
// must end exactly once, and nothing may stay open.

import test from 'ava'
import * as fc from 'fast-check'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { resetSocket } from '#agent/proxy/reset.ts'
import type { Verdict } from '#agent/proxy/engine/engine.ts'
import { echo, pause, refusingPeer, servingPeer, until, type Peer } from '../../support/peers.ts'
import { connectTo, startEngine, type EngineLab, type OpenEngine } from './engine-lab.ts'

type ClientStep =
  | { readonly kind: 'write'; readonly bytes: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'wait'; readonly ms: number }

type VerdictName = 'connect' | 'fail' | 'retry' | 'peek' | 'refuse' | 'handOver' | 'limits'

interface Story {
  readonly client: readonly ClientStep[]
  /** In turn, for as long as the engine asks; then the connection is refused. */
  readonly verdicts: readonly { readonly name: VerdictName; readonly afterMs: number }[]
  readonly abortAfterMs: number | undefined
}

const anyStory: fc.Arbitrary<Story> = fc.record({
  client: fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('write' as const), bytes: fc.oneof(fc.nat(100), fc.nat(300_000)) }),
      fc.constant({ kind: 'end' as const }),
      fc.constant({ kind: 'reset' as const }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(10) }),
    ),
    { maxLength: 6 },
  ),
  verdicts: fc.array(
    fc.record({
      name: fc.constantFrom<VerdictName>('connect', 'fail', 'retry', 'peek', 'refuse', 'handOver', 'limits'),
      afterMs: fc.nat(5),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  abortAfterMs: fc.option(fc.nat(20), { nil: undefined, freq: 3 }),
})

export function chaosSuite(name: string, open: OpenEngine): void {
  test.serial(
    `${name}: whatever clients, endpoints and verdicts do, every connection ends once and nothing stays open`,
    async (t) => {
      const peers = {
        bad: await refusingPeer(),
        echo: await servingPeer(t, echo),
        resetting: await servingPeer(t, (socket) => void socket.once('data', () => resetSocket(socket))),
        closing: await servingPeer(t, (socket) => void socket.end('bye')),
      }
      const lab = await startEngine(t, open)
      await fc.assert(
        fc.asyncProperty(fc.array(anyStory, { minLength: 1, maxLength: 40 }), async (stories) => {
          const clients = stories.map(() => lab.dial().resume())
          await Promise.all(stories.map((story) => live(lab, clients, story, peers)))
          for (const client of clients) client.destroy()
          await until(() => lab.engine.status().connections === 0, 'nothing stays open')
        }),
        { numRuns: 30 },
      )
      await until(() => peers.echo.sockets.every(({ closed }) => closed), 'no endpoint is left alone')
      t.pass()
    },
  )
}

async function live(
  lab: EngineLab,
  clients: readonly Socket[],
  { client: steps, verdicts, abortAfterMs }: Story,
  peers: Readonly<Record<'bad' | 'echo' | 'resetting' | 'closing', Peer>>,
): Promise<void> {
  const { connection, client } = await lab.next('accepted')
  for (const each of clients) if (each.localPort === client.port) void act(each, steps)
  const abort = setTimeout(() => lab.engine.abort(connection), abortAfterMs ?? 1_000)
  const rest = [...verdicts]
  for (;;) {
    const { name, afterMs } = rest.shift() ?? { name: 'refuse' as const, afterMs: 0 }
    if (afterMs > 0) await pause(afterMs)
    lab.engine.decide(connection, verdictOf(name, peers))
    const told = await lab.nextOf(connection, ['readable', 'exhausted', 'handedOver', 'ended'])
    if (told.kind === 'handedOver') told.socket.on('error', () => {}).destroy()
    if (told.kind === 'handedOver' || told.kind === 'ended') break
  }
  clearTimeout(abort)
}

function verdictOf(
  name: VerdictName,
  { bad, echo, resetting, closing }: Readonly<Record<'bad' | 'echo' | 'resetting' | 'closing', Peer>>,
): Verdict {
  switch (name) {
    case 'connect':
      return connectTo([bad, closing])
    case 'fail':
      return connectTo([bad, bad])
    case 'retry':
      return connectTo([bad, resetting], { prefix: Buffer.from('prefix') })
    case 'limits':
      return connectTo([echo], { limits: { idleMs: 20, halfClosedMs: 20, silentMs: 20, lifetimeMs: 100 } })
    case 'peek':
      return { kind: 'peek', atLeastBytes: 50, timeoutMs: 10 }
    case 'refuse':
    case 'handOver':
      return { kind: name }
  }
}

async function act(client: Socket, steps: readonly ClientStep[]): Promise<void> {
  // An engine may be faster than the news of the connection, and Node loses a socket that is reset before.
  if (client.connecting) await once(client, 'connect').catch(() => {})
  for (const step of steps) {
    if (client.destroyed) return
    switch (step.kind) {
      case 'write':
        if (!client.writableEnded) client.write(Buffer.alloc(step.bytes))
        break
      case 'end':
        client.end()
        break
      case 'reset':
        return resetSocket(client)
      case 'wait':
        await pause(step.ms)
        break
    }
  }
}
