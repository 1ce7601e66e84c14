import test from 'ava'
import * as fc from 'fast-check'
import { peakEwma } from '#agent/proxy/decision/balance/peak-ewma.ts'
import type { EndpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { SEED_MS, latencyNow, withSample, type Latency } from '#agent/proxy/decision/latency.ts'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import { ServiceTraffic } from '#agent/proxy/decision/service-traffic.ts'
import { WEB } from '../../views.ts'
import { choosing, firsts, isLikely, member, poolOf, seeded } from '../pools.ts'

const TAU = 10_000
const at = (estimateMs: number, atMs: number): Latency => ({ estimateMs, atMs })

test('a slower sample is believed at once', (t) => {
  t.deepEqual(withSample(at(1, 0), 40, 100, TAU), at(40, 100))
})

test('a faster sample is averaged in by the time since the last', (t) => {
  const after = withSample(at(40, 0), 1, TAU, TAU)
  const decayed = 40 / Math.E
  const weight = 1 - 1 / Math.E
  t.true(Math.abs(after.estimateMs - (decayed * (1 - weight) + weight)) < 1e-9, String(after.estimateMs))
})

test('an estimate falls to 1/e in the decay time, and looking does not change it', (t) => {
  const latency = Object.freeze(at(40, 1_000))
  t.true(Math.abs(latencyNow(latency, 1_000 + TAU, TAU) - 40 / Math.E) < 1e-9)
  t.is(latencyNow(latency, 1_000, TAU), 40)
  t.is(latencyNow(latency, 0, TAU), 40)
})

const IGNORED: readonly (readonly [string, number, number])[] = [
  ['a sample from before the last', 5, 999],
  ['a sample that is no number', Number.NaN, 2_000],
  ['a sample below nothing', -1, 2_000],
  ['a sample without end', Infinity, 2_000],
  ['a sample at no time', 5, Number.NaN],
]
for (const [name, sampleMs, nowMs] of IGNORED)
  test(`${name} changes nothing`, (t) => {
    const latency = at(3, 1_000)
    t.is(withSample(latency, sampleMs, nowMs, TAU), latency)
  })

test('an estimate is a positive number between what was and what came, whatever comes', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          sampleMs: fc.oneof(fc.double(), fc.double({ min: 0, max: 1e5, noNaN: true })),
          stepMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
        }),
      ),
      (samples) => {
        let latency = at(SEED_MS, 0)
        let nowMs = 0
        for (const { sampleMs, stepMs } of samples) {
          nowMs += stepMs
          const old = latencyNow(latency, nowMs, TAU)
          latency = withSample(latency, sampleMs, nowMs, TAU)
          const now = latencyNow(latency, nowMs, TAU)
          if (!(now > 0)) return false
          if (!(sampleMs >= 0 && sampleMs < Infinity)) continue
          // But for rounding.
          const [least, most] = [
            Math.min(old, sampleMs) * (1 - 1e-9),
            Math.max(old, sampleMs, 0.001) * (1 + 1e-9),
          ]
          if (now < least || now > most) return false
        }
        return true
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})

test('the cost is the estimate times the connections there would be, by the weight', (t) => {
  const pool = poolOf([1, 4])
  const first = (latencies: readonly [number, number], open: readonly [number, number]): number => {
    const of = (pair: readonly [number, number]) => (key: EndpointKey) =>
      key === member(0).key ? pair[0] : pair[1]
    const [chosen] = peakEwma(choosing(pool, { known: { latencyMs: of(latencies), active: of(open) } }), 1)
    return chosen === pool.members[0] ? 0 : 1
  }
  t.is(first([1, 3], [0, 0]), 1)
  t.is(first([1, 5], [0, 0]), 0)
  t.is(first([1, 5], [1, 0]), 1)
  t.is(first([1, 5], [1, 1]), 0)
})

test('among equals the choice is uniform', (t) => {
  const pool = poolOf(6)
  const given = choosing(pool, { draw: seeded(2) })
  t.true(
    isLikely(
      firsts(pool, 30_000, () => peakEwma(given, 1)),
      Array<number>(6).fill(1),
    ),
  )
})

/** Connections of 20 ms each, one every 2 ms, over five endpoints that take `latencyMs(i, now)` to answer. */
function simulate(latencyMs: (index: number, nowMs: number) => number, seconds: number): number[][] {
  const policy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, decayMs: 5_000 },
  }
  const traffic = new ServiceTraffic(WEB)
  const pool = poolOf(5)
  const draw = seeded(77)
  traffic.meet(
    pool.members.map((each) => each.key),
    'all',
    0,
  )
  const events: { atMs: number; run: () => void }[] = []
  const perSecond: number[][] = []
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += 2) {
    for (const event of events.filter((each) => each.atMs <= nowMs)) event.run()
    events.splice(0, events.length, ...events.filter((each) => each.atMs > nowMs))
    const [chosen] = peakEwma(choosing(pool, { traffic, policy: policy.balancer, nowMs, draw }), 1)
    if (chosen === undefined) continue
    const index = pool.members.indexOf(chosen)
    const second = Math.floor(nowMs / 1_000)
    const counts = (perSecond[second] ??= [0, 0, 0, 0, 0])
    counts[index] = (counts[index] ?? 0) + 1
    const tookMs = latencyMs(index, nowMs) * (0.8 + 0.4 * draw())
    traffic.started(chosen.key, nowMs)
    events.push({
      atMs: nowMs + tookMs,
      run: () => traffic.connected(chosen.key, tookMs, nowMs + tookMs, policy),
    })
    events.push({ atMs: nowMs + tookMs + 20, run: () => traffic.ended(chosen.key, nowMs + tookMs + 20) })
  }
  return perSecond
}

const shareOfLast = (perSecond: readonly number[][], from: number, to: number): number => {
  const counts = perSecond.slice(from, to)
  const total = counts.flat().reduce((a, b) => a + b, 0)
  return counts.reduce((sum, each) => sum + (each[4] ?? 0), 0) / total
}

test('an endpoint that gets ten times slower loses its share within a second, and has it back when it is fast', (t) => {
  const perSecond = simulate(
    (index, nowMs) => (index === 4 && nowMs >= 30_000 && nowMs < 60_000 ? 20 : 2),
    120,
  )
  const shares = {
    before: shareOfLast(perSecond, 15, 30),
    atOnce: shareOfLast(perSecond, 31, 33),
    slow: shareOfLast(perSecond, 35, 60),
    back: shareOfLast(perSecond, 90, 120),
  }
  t.log(shares)
  t.true(shares.before > 0.15 && shares.before < 0.25, JSON.stringify(shares))
  t.true(shares.atOnce < 0.04, JSON.stringify(shares))
  t.true(shares.slow < 0.05, JSON.stringify(shares))
  t.true(shares.back > 0.15 && shares.back < 0.25, JSON.stringify(shares))
})
