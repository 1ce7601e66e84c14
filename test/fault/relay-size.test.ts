// Correctness at size: much data with pauses and half-closes, many short connections, many idle ones, and a reader that
// is slow. Bounded for CI; SHUNT_LONG=1 runs the full sizes.

import test, { type ExecutionContext } from 'ava'

import { CLIENT_POD, GOOD_POD, RelayStage, type Relay, type RelayService } from './relay-stage.ts'

const LONG = process.env['SHUNT_LONG'] === '1'

/** Not the default, so that its pipes are counted apart from those of other proxies of this machine. */
const UID = '15076'
const AS_USER = ['/usr/bin/setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--']

const WEB: RelayService = { name: 'web', number: 1, endpoints: [{ pod: GOOD_POD, behaviour: 'answer' }] }
const SLOW: RelayService = { name: 'slow', number: 2, endpoints: [{ pod: GOOD_POD, behaviour: 'answer' }] }

const STREAMS = 8
const BYTES_EACH_WAY = LONG ? 2e9 : 64e6
const SHORT_CONNECTIONS = LONG ? 200_000 : 20_000
/** A proxy has two descriptors for each, and 20,000 in all where this runs. */
const IDLE_CONNECTIONS = LONG ? 9_000 : 4_000

type Mover = { readonly relay: Relay; readonly moves: 'spliced_bytes' | 'copied_bytes' | undefined }

/** Copying first: an engine that once got pipes keeps some. */
const MOVERS: Readonly<Record<string, Mover>> = {
  'copied by the engine, which gets no pipe': { relay: 'native', moves: 'copied_bytes' },
  'spliced in the kernel': { relay: 'native', moves: 'spliced_bytes' },
  "copied on Node's sockets": { relay: 'stream', moves: undefined },
}

const stages = new Map<Relay, RelayStage>()

test.before(async () => {
  for (const relay of ['native', 'stream'] as const) {
    const stage = await RelayStage.start({ relay, services: [WEB, SLOW], flags: ['--proxy-uid', UID] })
    stages.set(relay, stage)
  }
})
test.after.always(async () => {
  for (const stage of stages.values()) await stage.stop()
})

for (const [how, { relay, moves }] of Object.entries(MOVERS))
  test.serial(
    `bytes both ways in random chunks, with pauses and half-closes, arrive as sent: ${how}`,
    async (t) => {
      t.timeout(LONG ? 600_000 : 120_000)
      const stage = stageOf(relay)
      const taken = moves === 'copied_bytes' ? await stage.load(CLIENT_POD, 'pipes', {}, AS_USER) : undefined
      const before = await counts(stage)
      // Unequal, so that now the client and now the endpoint is the first to close its half.
      for (const [up, down] of [
        [0.7, 0.3],
        [0.3, 0.7],
      ] as const) {
        const result = await stage.run('bulk', {
          to: stage.to(WEB),
          streams: STREAMS,
          up: Math.floor((BYTES_EACH_WAY * up) / STREAMS),
          down: Math.floor((BYTES_EACH_WAY * down) / STREAMS),
          'chunk-max': 100_000,
          'pause-permille': 10,
          'pause-max-ms': 20,
        })
        t.deepEqual([result.complete, result.wrong, result.problem], [STREAMS, 0, ''])
      }
      await taken?.end()
      await stage.untilNoneOpen()
      const after = await counts(stage)
      // What the proxy counted is what its peers saw, to the byte.
      t.is(after.fromClient - before.fromClient, after.bytesIn - before.bytesIn)
      t.is(after.fromEndpoint - before.fromEndpoint, after.bytesOut - before.bytesOut)
      t.is(after.wrongStreams, 0)
      if (moves === undefined) return
      const moved = BYTES_EACH_WAY * 2
      t.true(after[moves] - before[moves] > moved * (moves === 'copied_bytes' ? 0.999 : 0.5))
    },
  )

for (const relay of ['native', 'stream'] as const)
  test.serial(`${SHORT_CONNECTIONS} short connections leave nothing behind: ${relay}`, async (t) => {
    t.timeout(LONG ? 600_000 : 120_000)
    const stage = stageOf(relay)
    const some = async (count: number): Promise<void> => {
      // Endpoint and client close first in turn, or the client resets: none holds thousands of ports of the node.
      for (const close of ['server', 'reset']) {
        const result = await stage.run('conns', {
          to: stage.to(WEB),
          count: count / 2,
          close,
          concurrency: 32,
        })
        t.deepEqual([result.answered, result.failedBy], [count / 2, {}])
      }
      await stage.untilNoneOpen()
    }
    // Compiled code and lists of bounded length come first.
    await some(6_000)
    const before = await stage.held()
    const descriptors = stage.openNow()
    const acceptedBefore = await stage.metric('shunt_proxy_connections_total')
    await some(SHORT_CONNECTIONS)
    t.is((await stage.metric('shunt_proxy_connections_total')) - acceptedBefore, SHORT_CONNECTIONS)
    const after = await stage.held()
    await t.notThrowsAsync(stage.untilOpen(descriptors))
    const heapBytes = after.heapBytes - before.heapBytes
    const rssBytes = after.rssBytes - before.rssBytes
    t.log(`the live heap grew by ${kib(heapBytes)} KiB, resident memory by ${kib(rssBytes)} KiB`)
    t.true(heapBytes < 1e6 + SHORT_CONNECTIONS * 5, `${heapBytes} bytes`)
    t.true(rssBytes < 6e6 + SHORT_CONNECTIONS * 50, `${rssBytes} bytes`)
  })

test.serial(
  `${IDLE_CONNECTIONS} idle connections cost at most 4 KiB each, and are whole afterwards`,
  async (t) => {
    const stage = stageOf('native')
    // What the first ones make it reserve once is no cost of each.
    const first = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 500 })
    const rssKib = stage.rssKib()
    const held = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: IDLE_CONNECTIONS })
    const eachKib = (stage.rssKib() - rssKib) / IDLE_CONNECTIONS
    t.log(`${eachKib.toFixed(2)} KiB each`)
    // The benchmark holds it to 3 KiB, over more of them: the heap grows by steps.
    t.true(eachKib <= 4, `${eachKib} KiB`)
    t.is((await stage.status()).connections.open, IDLE_CONNECTIONS + 500)
    for (const load of [held, first]) {
      const { whole, stillWhole, failedBy } = await load.end()
      t.deepEqual([stillWhole, failedBy], [whole, {}])
    }
    await stage.untilNoneOpen()
  },
)

for (const relay of ['native', 'stream'] as const)
  test.serial(
    `readers that are slow take neither the others' time nor the proxy's memory: ${relay}`,
    async (t) => {
      const stage = stageOf(relay)
      const alone = await exchange(stage, t)
      const rssKib = stage.rssKib()
      const slow = await stage.load(CLIENT_POD, 'bulk', {
        to: stage.to(SLOW),
        streams: 8,
        up: 50e6,
        down: 50e6,
        'read-rate': 100_000,
        'server-read-rate': 100_000,
      })
      const beside = await exchange(stage, t)
      const grownMib = (stage.rssKib() - rssKib) / 1024
      const report = await slow.report()
      t.is(report.wrong, 0)
      t.true(report.bytesDown < 20e6, 'they are slow indeed')
      await slow.end()
      t.log(
        `p99 ${alone.toFixed(0)} µs alone, ${beside.toFixed(0)} µs beside; memory grew by ${grownMib.toFixed(1)} MiB`,
      )
      t.true(beside < alone * 4 + 20_000, `${alone} and ${beside} µs`)
      t.true(grownMib < 24, `${grownMib} MiB`)
    },
  )

/** p99 of small messages, microseconds. */
async function exchange(stage: RelayStage, t: ExecutionContext): Promise<number> {
  const result = await stage.run('pingpong', { to: stage.to(WEB), connections: 8, rate: 500, seconds: 2 })
  t.is(result.problem, '')
  return result.latencyUs.p99
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(0)
}

function stageOf(relay: Relay): RelayStage {
  const stage = stages.get(relay)
  if (stage === undefined) throw new Error(`no stage with the ${relay} relay`)
  return stage
}

/** Of the Service, as proxy and endpoint counted. */
async function counts(stage: RelayStage) {
  const service = 'default/web:tcp/TCP'
  const { bytesIn, bytesOut, wrongStreams } = await stage.saw(WEB)
  return {
    bytesIn,
    bytesOut,
    wrongStreams,
    fromClient: await stage.metric('shunt_proxy_bytes_total', { service, direction: 'from_client' }),
    fromEndpoint: await stage.metric('shunt_proxy_bytes_total', { service, direction: 'from_endpoint' }),
    spliced_bytes: await stage.metric('shunt_proxy_worker_counts_total', { what: 'spliced_bytes' }),
    copied_bytes: await stage.metric('shunt_proxy_worker_counts_total', { what: 'copied_bytes' }),
  }
}
