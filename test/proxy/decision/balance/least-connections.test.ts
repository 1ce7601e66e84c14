import test from 'ava'
import * as fc from 'fast-check'
import { leastConnections } from '#agent/proxy/decision/balance/least-connections.ts'
import { random } from '#agent/proxy/decision/balance/random.ts'
import type { EndpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import type { Balancer } from '#agent/proxy/decision/balance/balancer.ts'
import { choosing, firsts, isLikely, member, poolOf, seeded } from '../pools.ts'

const activeOf = (open: readonly number[]): ((key: EndpointKey) => number) => {
  const byKey = new Map(open.map((count, i) => [member(i).key, count]))
  return (key) => byKey.get(key) ?? 0
}

test('of two members the one with fewer connections is first', (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 50 }), fc.nat({ max: 50 }), fc.nat(), (a, b, seed) => {
      const pool = poolOf(2)
      const [first, second] = leastConnections(
        choosing(pool, { draw: seeded(seed), known: { active: activeOf([a, b]) } }),
        6,
      )
      const active = activeOf([a, b])
      return first !== undefined && second !== undefined && active(first.key) <= active(second.key)
    }),
  )
  t.pass()
})

test('the busiest of many is first only if it is drawn twice, which it never is', (t) => {
  const pool = poolOf(10)
  const given = choosing(pool, { known: { active: activeOf([9, 1, 1, 1, 1, 1, 1, 1, 1, 1]) } })
  t.is(firsts(pool, 5_000, () => leastConnections(given, 1))[0], 0)
})

test('among equals the choice is uniform', (t) => {
  const pool = poolOf(8)
  const given = choosing(pool, { draw: seeded(9) })
  t.true(
    isLikely(
      firsts(pool, 40_000, () => leastConnections(given, 1)),
      Array<number>(8).fill(1),
    ),
  )
})

test('each further candidate is no busier than the worst of the pool before it', (t) => {
  // With as many wanted as there are, the order that two choices give has the busiest at the end.
  const pool = poolOf(5)
  for (let seed = 0; seed < 200; seed++) {
    const given = choosing(pool, { draw: seeded(seed), known: { active: activeOf([0, 1, 2, 3, 9]) } })
    t.is(leastConnections(given, 5).at(-1), pool.members[4])
  }
})

/** The spread of open connections after many came and went; each lasts a random time. */
function spreadOf(balancer: Balancer): number {
  const draw = seeded(21)
  const pool = poolOf(20)
  const open = new Map<EndpointKey, number>()
  const given = choosing(pool, { draw, known: { active: (key) => open.get(key) ?? 0 } })
  const living: EndpointKey[] = []
  let worst = 0
  for (let i = 0; i < 20_000; i++) {
    const key = balancer(given, 1)[0]?.key as EndpointKey
    open.set(key, (open.get(key) ?? 0) + 1)
    living.push(key)
    if (living.length <= 1_000) continue
    const [ended] = living.splice(Math.floor(draw() * living.length), 1)
    if (ended !== undefined) open.set(ended, (open.get(ended) ?? 0) - 1)
    const counts = pool.members.map((each) => open.get(each.key) ?? 0)
    worst = Math.max(worst, Math.max(...counts) - Math.min(...counts))
  }
  return worst
}

test('1,000 connections over 20 endpoints stay within a few of each other, unlike random ones', (t) => {
  const spread = spreadOf(leastConnections)
  t.log({ spread, random: spreadOf(random) })
  t.true(spread <= 16, String(spread))
  t.true(spreadOf(random) >= 2 * spread)
})

test('without connections unequal weights are exact shares', (t) => {
  const pool = poolOf([1, 2, 5])
  const given = choosing(pool)
  const counts = firsts(pool, 8_000, () => leastConnections(given, 1))
  for (const [i, share] of [1_000, 2_000, 5_000].entries())
    t.true(Math.abs((counts[i] ?? 0) - share) <= 1, String(counts))
})

test('with connections a share is weight / (connections + 1)', (t) => {
  const pool = poolOf([2, 5, 3])
  const given = choosing(pool, { known: { active: activeOf([0, 4, 5]) } })
  const counts = firsts(pool, 7_000, () => leastConnections(given, 1))
  // 2/1, 5/5 and 3/6: 4 to 2 to 1.
  for (const [i, share] of [4_000, 2_000, 1_000].entries())
    t.true(Math.abs((counts[i] ?? 0) - share) <= 2, String(counts))
})
