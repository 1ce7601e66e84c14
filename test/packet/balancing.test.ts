// Every way to choose an endpoint, through the real agent and the real proxy with two workers: who answers how often.

import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import type { BalancerKind } from '#agent/model/connection-policy.ts'

import type { Json, LabFamily } from '../conformance/objects.ts'
import type { Seen } from '../support/lab/peer-messages.ts'
import { CLIENT } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'
import { BalancingStage, clientAddresses, tally, type BalancedService } from './balancing/stage.ts'

interface Row {
  readonly it: string
  readonly kind: BalancerKind
  readonly family?: LabFamily
  readonly weights?: readonly { readonly [field: string]: Json }[]
  readonly count: number
  /** Each after the one before has ended everywhere; else many at a time. */
  readonly isPaced?: boolean
  /** From so many addresses of the outside client. */
  readonly sources?: number
  /** Weights that follow for p11, p12 and p21. */
  readonly shares: readonly number[]
  /** Of all connections; 0: exact, so that no count is off by more than one. */
  readonly withinPercent: number
}

const BY_ADDRESS = [
  { addresses: ['10.244.1.11/32'], weight: 1 },
  { addresses: ['10.244.1.12/32'], weight: 2 },
  { addresses: ['10.244.2.0/24'], weight: 5 },
]

const ROWS: readonly Row[] = [
  {
    it: 'Random: each of three endpoints gets a third of 3,000 connections, within 4 points',
    kind: 'Random',
    count: 3_000,
    shares: [1, 1, 1],
    withinPercent: 4,
  },
  {
    it: 'Random with weights 1 and 3 by zone: within 4 points',
    kind: 'Random',
    weights: [{ zone: 'zone-b', weight: 3 }],
    count: 3_000,
    shares: [1, 1, 3],
    withinPercent: 4,
  },
  {
    it: 'RoundRobin: each of three endpoints gets exactly its turns, whichever worker accepts',
    kind: 'RoundRobin',
    count: 3_000,
    shares: [1, 1, 1],
    withinPercent: 0,
  },
  {
    it: 'RoundRobin over IPv6 with weight 2 by node: exactly its turns',
    kind: 'RoundRobin',
    family: 'IPv6',
    weights: [{ node: 'node2', weight: 2 }],
    count: 1_200,
    shares: [1, 1, 2],
    withinPercent: 0,
  },
  {
    it: 'RoundRobin with weights 1, 2 and 5 by address: exactly its turns',
    kind: 'RoundRobin',
    weights: BY_ADDRESS,
    count: 1_600,
    shares: [1, 2, 5],
    withinPercent: 0,
  },
  {
    it: 'LeastConnections with weights 1, 2 and 5 and one connection at a time: within 5 points',
    kind: 'LeastConnections',
    weights: BY_ADDRESS,
    count: 400,
    isPaced: true,
    shares: [1, 2, 5],
    withinPercent: 5,
  },
  {
    it: 'Maglev with weights 1, 2 and 5 over 800 client addresses: within 5 points',
    kind: 'Maglev',
    weights: BY_ADDRESS,
    count: 800,
    sources: 800,
    shares: [1, 2, 5],
    withinPercent: 5,
  },
]

const SHARED: readonly BalancedService[] = ROWS.map(({ kind, family = 'IPv4', weights = [] }, i) => ({
  name: `shares-${i}`,
  number: 100 + i,
  endpoints: ['p11', 'p12', 'p21'],
  family,
  policy: { loadBalancer: { type: kind, weights } },
}))

const PINNED: BalancedService = {
  name: 'pinned',
  number: 120,
  endpoints: ['p11', 'p12', 'p21'],
  policy: { loadBalancer: { type: 'LeastConnections' } },
}
const LATENCY: BalancedService = {
  name: 'latency',
  number: 121,
  endpoints: ['p11', 'p12', 'p21'],
  policy: { loadBalancer: { type: 'PeakEWMA', decay: '1s' } },
}
const WARMING: BalancedService = {
  name: 'warming',
  number: 123,
  endpoints: ['p11', 'p12'],
  policy: { loadBalancer: { type: 'RoundRobin', slowStart: { window: '5s', minWeightPercent: 5 } } },
}

let stage: BalancingStage

test.before(async () => {
  stage = await BalancingStage.start([...SHARED, PINNED, LATENCY, WARMING])
  await stage.giveAddresses()
})

test.after.always(() => stage?.stop())

for (const [i, row] of ROWS.entries())
  test.serial(row.it, async (t) => {
    const { count, isPaced = false, sources, shares, withinPercent } = row
    const service = SHARED[i] as BalancedService
    const from = sources === undefined ? {} : { place: CLIENT, from: clientAddresses(sources) }
    const counts = tally(
      isPaced ? await paced(service, count) : await stage.connect(service, { count, ...from }),
    )
    t.log(counts)
    const total = shares.reduce((sum, share) => sum + share, 0)
    let answered = 0
    for (const [at, pod] of service.endpoints.entries()) {
      const wanted = (count * (shares[at] ?? 0)) / total
      const slack = withinPercent === 0 ? 1 : (count * withinPercent) / 100
      t.true(Math.abs((counts[pod] ?? 0) - wanted) <= slack, `${pod}: ${counts[pod]}, not ${wanted}`)
      answered += counts[pod] ?? 0
    }
    t.is(answered, count, 'all were answered')
  })

test.serial('both workers accepted about the same', async (t) => {
  const accepted = (await stage.status()).workers.map((worker) => worker.accepted)
  t.is(accepted.length, 2)
  const [least = 0, most = 0] = accepted.toSorted((a, b) => a - b)
  t.true(least > most * 0.8, accepted.join())
})

test.serial('LeastConnections: an endpoint with long-lived connections gets no new ones', async (t) => {
  const held = await stage.hold(PINNED, 60)
  const onP11 = held.filter(({ first }) => first.kind === 'answered' && first.by === 'p11')
  t.true(onP11.length >= 15 && onP11.length <= 25, `${onP11.length} of 60 came to p11`)
  await Promise.all(held.filter((one) => !onP11.includes(one)).map((one) => one.drop()))
  await until('the proxy knows that the others are over', async () => {
    const open = await stage.open(PINNED)
    return open['p12'] === 0 && open['p21'] === 0
  })
  const busy = tally(await stage.connect(PINNED, { count: 300, concurrency: 4 }))
  t.deepEqual([busy['p11'], (busy['p12'] ?? 0) + (busy['p21'] ?? 0)], [undefined, 300])
  await Promise.all(onP11.map((one) => one.drop()))
  await stage.untilIdle(PINNED)
  t.deepEqual(await stage.open(PINNED), { p11: 0, p12: 0, p21: 0 })
  const free = tally(await paced(PINNED, 90))
  t.log({ free })
  t.true((free['p11'] ?? 0) > 10, 'when they are gone it gets its share again')
})

test.serial('PeakEWMA: who is slow to connect gets little, until it is fast again', async (t) => {
  const share = async (count: number): Promise<number> => {
    const counts = tally(await stage.connect(LATENCY, { count, concurrency: 4 }))
    t.is((counts['p11'] ?? 0) + (counts['p12'] ?? 0) + (counts['p21'] ?? 0), count, JSON.stringify(counts))
    return (100 * (counts['p12'] ?? 0)) / count
  }
  const isAlike = async (): Promise<boolean> => (await share(100)) >= 20
  await until('p12 has its share', isAlike, { withinMs: 30_000, everyMs: 250 })
  // Every other SYN is lost, and comes again after a second: connecting takes a second.
  const everyOther = '-m statistic --mode nth --every 2 --packet 0'
  const lose = `INPUT -p tcp --syn --dport ${9000 + LATENCY.number} ${everyOther} -j DROP`.split(' ')
  await stage.lab.exec('p12', ['/usr/sbin/iptables-nft', '-A', ...lose])
  await until('p12 was asked and was slow', async () => {
    const slow = await stage.connect(LATENCY, { count: 20, concurrency: 4 })
    return slow.some((one) => one.kind === 'answered' && one.by === 'p12' && one.ms > 900)
  })
  const during = await share(300)
  await stage.lab.exec('p12', ['/usr/sbin/iptables-nft', '-D', ...lose])
  const backMs = await until('p12 has its share again', isAlike, { withinMs: 30_000, everyMs: 250 })
  t.log({ during, backMs })
  t.true(during < 5, `${during}% while it was slow`)
})

test.serial('slow start: a new endpoint begins with a small share, which grows to a whole one', async (t) => {
  await stage.connect(WARMING, { count: 100 })
  // It joins later than this, so no share may be greater than at this age.
  const startMs = performance.now()
  await stage.change({ ...WARMING, endpoints: ['p11', 'p12', 'p21'] })
  const changedMs = performance.now()
  const shares: { readonly atMs: number; readonly percent: number }[] = []
  while (performance.now() - changedMs < 5_200) {
    const counts = tally(await stage.connect(WARMING, { count: 150, concurrency: 8 }))
    const atMs = Math.round(performance.now() - startMs)
    shares.push({ atMs, percent: (100 * (counts['p21'] ?? 0)) / 150 })
    await sleep(400)
  }
  const last = tally(await stage.connect(WARMING, { count: 300 }))
  t.log(shares.map(({ atMs, percent }) => `${Math.round(percent)}% at ${atMs} ms`).join(', '))
  for (const { atMs, percent } of shares) {
    const part = Math.min(1, Math.max(atMs, 1_000) / 5_000)
    t.true(percent <= (100 * part) / (2 + part) + 2, `${percent}% after ${atMs} ms`)
  }
  const first = shares[0]?.percent ?? 100
  t.true(first > 0 && first <= 20, `${first}% at first`)
  t.true(Math.abs((last['p21'] ?? 0) - 100) <= 1, 'its whole share in the end')
})

/** The proxy has forgotten a connection before the next one comes, unless the machine is very busy. */
async function paced(service: BalancedService, count: number): Promise<readonly Seen[]> {
  const seen: Seen[] = []
  for (let i = 0; i < count; i++) {
    seen.push(...(await stage.connect(service, {})))
    await sleep(5)
  }
  return seen
}
