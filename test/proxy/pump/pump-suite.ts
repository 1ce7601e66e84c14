// What every pump must do, whatever it moves bytes with. An implementation's test calls this with a way to make legs.

import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { createHash } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { PumpEnd, Side } from '#agent/proxy/session-state.ts'
import { DEFAULT_PUMP_LIMITS, type Pump, type PumpLimits, type Relay } from '#agent/proxy/pump/pump.ts'
import { until } from '../lab.ts'

/** One connection: the pump gets `leg`, the test talks through `far`. */
export interface MadeLeg<Leg> {
  readonly leg: Leg
  readonly far: Socket
}

/** A direction's story: what a side writes, with pauses, and when it ends. */
interface Script {
  readonly chunks: readonly number[]
  readonly pauseEvery: number
  /** After its own bytes, or only once it has read the other's end. */
  readonly ends: 'at once' | 'after the other'
}

const anyScript: fc.Arbitrary<Script> = fc.record({
  chunks: fc.array(fc.oneof(fc.nat(100), fc.nat(70_000), fc.nat(1_500_000)), { maxLength: 8 }),
  pauseEvery: fc.nat(3),
  ends: fc.constantFrom('at once' as const, 'after the other' as const),
})

export function pumpSuite<Leg>(
  name: string,
  pump: Pump<Leg>,
  makeLeg: (t: ExecutionContext) => Promise<MadeLeg<Leg>>,
): void {
  test(`${name}: both directions deliver every byte, in order, then the end, whoever ends first`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyScript, anyScript, async (a, b) => {
        // Somebody has to end first.
        const scripts =
          a.ends === 'after the other' ? ([a, { ...b, ends: 'at once' }] as const) : ([a, b] as const)
        const client = await makeLeg(t)
        const endpoint = await makeLeg(t)
        const run = start(pump, client.leg, endpoint.leg)
        const [fromEndpoint, fromClient] = await Promise.all([
          play(client.far, scripts[0], 1),
          play(endpoint.far, scripts[1], 2),
        ])
        t.is(await run.ended, 'closed')
        t.is(fromClient, digest(scripts[0], 1))
        t.is(fromEndpoint, digest(scripts[1], 2))
        t.deepEqual(run.relay.bytes(), { fromClient: size(scripts[0]), fromEndpoint: size(scripts[1]) })
        t.deepEqual(run.closed.toSorted(), ['client', 'endpoint'])
      }),
      { numRuns: 25 },
    )
  })

  for (const side of ['client', 'endpoint'] as const)
    test(`${name}: a reset of the ${side} in the middle of a transfer resets the other`, async (t) => {
      const client = await makeLeg(t)
      const endpoint = await makeLeg(t)
      const run = start(pump, client.leg, endpoint.leg)
      const [from, to] = side === 'client' ? [client.far, endpoint.far] : [endpoint.far, client.far]
      const ended = new Promise((resolve) => {
        to.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
        to.once('end', () => resolve('end'))
      })
      from.write(Buffer.alloc(200_000))
      to.once('data', () => from.resetAndDestroy())
      t.is(await ended, 'ECONNRESET')
      t.is(await run.ended, `reset-by-${side}`)
    })

  test(`${name}: an abort resets both, once`, async (t) => {
    const client = await makeLeg(t)
    const endpoint = await makeLeg(t)
    const run = start(pump, client.leg, endpoint.leg)
    const codes = [client.far, endpoint.far].map(
      (far) =>
        new Promise((resolve) =>
          far.once('error', (error: NodeJS.ErrnoException) => resolve(error.code)).resume(),
        ),
    )
    run.relay.abort()
    run.relay.abort()
    t.is(await run.ended, 'aborted')
    t.deepEqual(await Promise.all(codes), ['ECONNRESET', 'ECONNRESET'])
  })

  test(`${name}: an abort right after an end leaves nothing open`, async (t) => {
    for (let i = 0; i < 20; i++) {
      const client = await makeLeg(t)
      const endpoint = await makeLeg(t)
      let relay: Relay | undefined
      const run = start(pump, client.leg, endpoint.leg, DEFAULT_PUMP_LIMITS, () => relay?.abort())
      relay = run.relay
      client.far.end('x')
      t.true(['aborted', 'closed'].includes(await run.ended))
    }
  })

  test(`${name}: a side that does not read is not read for`, async (t) => {
    const client = await makeLeg(t)
    const endpoint = await makeLeg(t)
    const run = start(pump, client.leg, endpoint.leg)
    endpoint.far.pause()
    client.far.write(Buffer.alloc(64 * 1024 * 1024))
    let last = -1
    await until(() => {
      const now = run.relay.bytes().fromClient
      const settled = now > 0 && now === last
      last = now
      return settled
    }, 'reading stops')
    t.true(run.relay.bytes().fromClient < 32 * 1024 * 1024)
    run.relay.abort()
    t.is(await run.ended, 'aborted')
  })

  for (const [limit, prepare] of [
    ['silent', () => {}],
    ['idle', (far: Socket) => void far.write('x')],
    ['idle-half-closed', (far: Socket) => void far.end('x')],
  ] as const)
    test(`${name}: silence ends as ${limit}`, async (t) => {
      const client = await makeLeg(t)
      const endpoint = await makeLeg(t)
      endpoint.far.resume()
      const limits: PumpLimits = {
        idleMs: limit === 'idle' ? 300 : 60_000,
        halfClosedMs: limit === 'idle-half-closed' ? 300 : 60_000,
        silentMs: limit === 'silent' ? 300 : 60_000,
      }
      // Before the start, so that a busy machine does not make a silence of it.
      prepare(client.far)
      const run = start(pump, client.leg, endpoint.leg, limits)
      t.is(await run.ended, limit)
    })
}

/** A leg that is a socket of Node's, paused as the listener hands it over. */
export async function socketLeg(t: ExecutionContext): Promise<MadeLeg<Socket>> {
  const { promise, resolve } = Promise.withResolvers<Socket>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, resolve)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const far = connect({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    allowHalfOpen: true,
  })
  far.on('error', () => {})
  const leg = await promise
  server.close()
  t.teardown(() => {
    far.destroy()
    leg.destroy()
  })
  return { leg, far }
}

interface Run {
  readonly relay: Relay
  readonly closed: Side[]
  readonly ended: Promise<PumpEnd>
}

function start<Leg>(
  pump: Pump<Leg>,
  client: Leg,
  endpoint: Leg,
  limits = DEFAULT_PUMP_LIMITS,
  onClosed: () => void = () => {},
): Run {
  const closed: Side[] = []
  const { promise: ended, resolve } = Promise.withResolvers<PumpEnd>()
  const ends: PumpEnd[] = []
  const relay = pump.start(client, endpoint, limits, {
    sideClosed: (by) => {
      closed.push(by)
      onClosed()
    },
    ended: (end) => {
      ends.push(end)
      if (ends.length > 1) throw new Error(`it ended more than once: ${ends.join(', ')}`)
      resolve(end)
    },
  })
  return { relay, closed, ended }
}

/** Writes the script and reads everything; resolves with the digest of what was read, once both ends are through. */
async function play(far: Socket, script: Script, seed: number): Promise<string> {
  const hash = createHash('sha256')
  const ended = new Promise<void>((resolve, reject) => {
    far.on('data', (chunk: Buffer) => void hash.update(chunk))
    far.once('end', resolve)
    far.once('error', reject)
  })
  for (const [i, chunk] of contents(script, seed).entries()) {
    far.write(chunk)
    if (script.pauseEvery > 0 && i % script.pauseEvery === 0)
      await new Promise((resolve) => setTimeout(resolve, 2))
  }
  if (script.ends === 'after the other') await ended
  far.end()
  await ended
  return hash.digest('hex')
}

function contents(script: Script, seed: number): readonly Buffer[] {
  return script.chunks.map((length, i) => {
    const chunk = Buffer.alloc(length)
    for (let at = 0; at < length; at++) chunk[at] = (at * 31 + i * 7 + seed) & 0xff
    return chunk
  })
}

function digest(script: Script, seed: number): string {
  const hash = createHash('sha256')
  for (const chunk of contents(script, seed)) hash.update(chunk)
  return hash.digest('hex')
}

function size(script: Script): number {
  return script.chunks.reduce((sum, length) => sum + length, 0)
}
