// Limits and timeouts of policies, through the real agent and the real proxy with two workers: how many connections
// there are, whose, and how long they last.

import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import type { Held } from '../support/lab/peer.ts'
import { CLIENT } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'
import { BalancingStage, CLIENT_POD, tally, type BalancedService } from './balancing/stage.ts'

const LIMITED: BalancedService = {
  name: 'limited',
  number: 140,
  endpoints: ['p11', 'p21'],
  policy: { limits: { maxConnections: 50, fair: false } },
}
const EACH: BalancedService = {
  name: 'each',
  number: 141,
  endpoints: ['p11', 'p21'],
  policy: { limits: { maxConnectionsPerClient: 5 } },
}
const FAIR: BalancedService = {
  name: 'fair',
  number: 142,
  endpoints: ['p11', 'p21'],
  policy: { limits: { maxConnections: 20 } },
}
const TAKEN: BalancedService = { ...FAIR, name: 'taken', number: 147 }
const IDLE: BalancedService = {
  name: 'idle',
  number: 143,
  endpoints: ['p11'],
  policy: { timeouts: { idle: '700ms' } },
}
const SILENT: BalancedService = {
  name: 'silent',
  number: 144,
  endpoints: ['p11'],
  policy: { timeouts: { silent: '700ms' } },
}
const LIFETIME: BalancedService = {
  name: 'lifetime',
  number: 145,
  endpoints: ['p11'],
  policy: { timeouts: { lifetime: '1s' } },
}
const HALF_CLOSED: BalancedService = {
  name: 'half-closed',
  number: 146,
  endpoints: ['p11'],
  listening: 'open',
  policy: { timeouts: { halfClosed: '700ms' } },
}

let stage: BalancingStage

test.before(async () => {
  stage = await BalancingStage.start([LIMITED, EACH, FAIR, TAKEN, IDLE, SILENT, LIFETIME, HALF_CLOSED])
})

test.after.always(() => stage?.stop())

test.serial('no more than the limit over both workers, of 200 clients at once', async (t) => {
  const held = (await Promise.all([stage.hold(LIMITED, 100), stage.hold(LIMITED, 100, CLIENT)])).flat()
  t.is(answered(held).length, 50)
  t.is(held.filter(({ first }) => first.kind === 'broken').length, 150)
  t.is(await stage.metric('shunt_proxy_limit_refusals_total', LIMITED, { limit: 'connections' }), 150)
  const rows = (await stage.connections(LIMITED)).filter(({ state }) => state === 'relaying')
  t.is(rows.length, 50)
  t.is(sum(await stage.open(LIMITED)), 50)

  await drop(answered(held).slice(0, 10))
  await until('ten have ended', async () => sum(await stage.open(LIMITED)) === 40)
  const again = await stage.hold(LIMITED, 30)
  t.is(answered(again).length, 10, 'what ended makes room, and no more')
  await drop([...held, ...again])
  await stage.untilIdle(LIMITED)
})

test.serial(
  'after a thousand short connections at the limit there is room for as many as before',
  async (t) => {
    const counts = tally(await stage.connect(LIMITED, { count: 1_000, concurrency: 100 }))
    t.log(counts)
    t.true((counts['p11'] ?? 0) + (counts['p21'] ?? 0) > 50, JSON.stringify(counts))
    await stage.untilIdle(LIMITED)
    const held = await stage.hold(LIMITED, 60)
    t.is(answered(held).length, 50)
    await drop(held)
  },
)

test.serial('no client has more than one client may have', async (t) => {
  for (const place of [CLIENT_POD, CLIENT]) {
    const held = await stage.hold(EACH, 15, place)
    t.is(answered(held).length, 5, place)
  }
  t.is(await stage.metric('shunt_proxy_limit_refusals_total', EACH, { limit: 'client' }), 20)
})

test.serial('a client that wants everything leaves another one its share', async (t) => {
  const modest = [...(await stage.hold(FAIR, 1, CLIENT))]
  const greedy = answered(await stage.hold(FAIR, 60))
  // Beyond its half it gets more only while a fifth of the room is free.
  t.is(greedy.length, 16)
  modest.push(...(await stage.hold(FAIR, 2, CLIENT)))
  t.is(answered(modest).length, 3, 'the modest one gets in at once')
  // The greedy one comes again as often as it can; what it lets go is the modest one's, up to its half.
  for (let i = 0; i < 4; i++) {
    await drop(greedy.splice(0, 2))
    await until('two have ended', async () => sum(await stage.open(FAIR)) <= 17)
    const storm = await stage.hold(FAIR, 20)
    modest.push(...answered(await stage.hold(FAIR, 2, CLIENT)))
    greedy.push(...answered(storm))
  }
  t.log({ modest: answered(modest).length, greedy: greedy.length })
  t.is(answered(modest).length, 10)
  t.true(greedy.length <= 10)
  t.true((await stage.metric('shunt_proxy_limit_refusals_total', FAIR, { limit: 'client' })) > 40)
})

test.serial('a client that takes all, and again what becomes free, lets another one in', async (t) => {
  const greedy = answered(await stage.hold(TAKEN, 40))
  t.is(greedy.length, 20)
  const over = new AbortController()
  const takeAll = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await drop(greedy.splice(0, 1))
      greedy.push(...answered(await stage.hold(TAKEN, 8)))
    }
  }
  const taking = takeAll()
  const modest = tally(await stage.connect(TAKEN, { count: 200, concurrency: 1, place: CLIENT }))
  over.abort()
  await taking
  t.log({ modest, greedy: greedy.length })
  t.true((modest['p11'] ?? 0) + (modest['p21'] ?? 0) >= 160, 'only until the first one ended it was refused')
  t.true(greedy.length >= 10, 'the greedy one keeps its share')
})

const TIMEOUTS = [
  {
    it: 'idle: a connection without a byte either way ends',
    service: IDLE,
    isSilent: false,
    before: async () => {},
    outcome: 'idle',
    atLeastMs: 700,
  },
  {
    it: 'silent: a connection without a byte since its start ends',
    service: SILENT,
    isSilent: true,
    before: async () => {},
    outcome: 'silent',
    atLeastMs: 700,
  },
  {
    it: 'lifetime: a busy connection ends',
    service: LIFETIME,
    isSilent: false,
    before: async (held: Held) => {
      while ((await held.ask(1_000)).kind === 'answered') await sleep(20)
    },
    outcome: 'lifetime',
    atLeastMs: 1_000,
  },
  {
    it: 'half closed: a connection that only one side has closed ends',
    service: HALF_CLOSED,
    isSilent: true,
    before: (held: Held) => held.finish(),
    outcome: 'idle-half-closed',
    atLeastMs: 700,
  },
] as const

for (const { it, service, isSilent, before, outcome, atLeastMs } of TIMEOUTS)
  test.serial(`${it}, and the commands say why`, async (t) => {
    const peer = await stage.lab.peer(CLIENT_POD)
    const startMs = performance.now()
    const held = await peer.hold(stage.to(service), 80, { silent: isSilent })
    t.not(held.first.kind, 'broken')
    await before(held)
    await untilEnded(service, outcome)
    const tookMs = performance.now() - startMs
    t.true(tookMs >= atLeastMs && tookMs < atLeastMs + 5_000, `after ${tookMs} ms`)
    t.is((await held.ask(1_000)).kind, 'broken', 'the client is told')
    await expectRow(t, service, outcome)
  })

async function untilEnded(service: BalancedService, outcome: string): Promise<void> {
  const ended = () => stage.metric('shunt_proxy_connections_ended_total', service, { outcome })
  await until(`a connection of ${service.name} ends: ${outcome}`, async () => (await ended()) === 1)
}

async function expectRow(t: ExecutionContext, service: BalancedService, outcome: string): Promise<void> {
  const rows = await stage.connections(service)
  t.is(rows.length, 1)
  t.is(rows[0]?.state, outcome, JSON.stringify(rows))
}

function answered(held: readonly Held[]): Held[] {
  return held.filter(({ first }) => first.kind === 'answered')
}

async function drop(held: readonly Held[]): Promise<void> {
  await Promise.all(held.map((one) => one.drop()))
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
