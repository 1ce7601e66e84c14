import test from 'ava'
import { random } from '#agent/proxy/decision/balance/random.ts'
import { roundRobin } from '#agent/proxy/decision/balance/round-robin.ts'
import { warm, warmth } from '#agent/proxy/decision/balance/slow-start.ts'
import type { EndpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { choosing, firsts, isLikely, member, poolOf, seeded } from '../pools.ts'

const POLICY = { windowMs: 60_000, minWeightPercent: 10, aggression: 1 }

const ROWS: readonly (readonly [string, number, Partial<typeof POLICY>, number])[] = [
  ['just there: the least weight', 0, {}, 0.1],
  ['a tenth of the window', 6_000, {}, 0.1],
  ['a half of the window', 30_000, {}, 0.5],
  ['the whole window', 60_000, {}, 1],
  ['always there', Infinity, {}, 1],
  ['more aggression, faster at first', 15_000, { aggression: 2 }, 0.5],
  ['less aggression, slower at first', 30_000, { aggression: 0.5 }, 0.25],
  ['no least weight: as if a second old', 10, { minWeightPercent: 0 }, 1 / 60],
  ['a least weight of all', 10, { minWeightPercent: 100 }, 1],
  ['a window below a second', 10, { windowMs: 500 }, 1],
]
for (const [name, ageMs, policy, want] of ROWS)
  test(name, (t) => {
    t.true(Math.abs(warmth(ageMs, { ...POLICY, ...policy }) - want) < 1e-12)
  })

test('a pool without anybody new stays the same object', (t) => {
  const pool = poolOf([1, 2])
  t.is(
    warm(pool, () => -Infinity, POLICY, 0),
    pool,
  )
})

const joinedAt = (key: EndpointKey): number => (key === member(3).key ? 0 : -Infinity)
for (const [atMs, part] of [
  [0, 0.1],
  [15_000, 0.25],
  [45_000, 0.75],
  [60_000, 1],
] as const)
  test(`after ${atMs / 1_000} s of 60 a new endpoint has ${part} of its weight`, (t) => {
    const pool = warm(poolOf([1, 1, 1, 2]), joinedAt, POLICY, atMs)
    const want = [1, 1, 1, 2 * part]
    const given = choosing(pool, { draw: seeded(13) })
    t.true(
      isLikely(
        firsts(pool, 40_000, () => random(given, 1)),
        want,
      ),
    )
    const turns = firsts(pool, 40_000, () => roundRobin(given, 1))
    for (const [i, weight] of want.entries())
      t.true(Math.abs((turns[i] ?? 0) - (40_000 * weight) / (3 + 2 * part)) <= 2, String(turns))
  })
