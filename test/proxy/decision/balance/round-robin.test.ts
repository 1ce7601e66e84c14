import test from 'ava'
import * as fc from 'fast-check'
import { Rotation } from '#agent/proxy/decision/balance/rotation.ts'
import { roundRobin } from '#agent/proxy/decision/balance/round-robin.ts'
import { Pool } from '#agent/proxy/decision/pool.ts'
import { choosing, firsts, isLikely, member, poolOf, seeded } from '../pools.ts'

const anyWeights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 })
const anyDraws = fc.infiniteStream(
  fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
)

test('in every round each member comes exactly as often as it weighs, whatever its phase', (t) => {
  fc.assert(
    fc.property(anyWeights, anyDraws, (weights, draws) => {
      const pool = poolOf(weights)
      const given = choosing(pool, { draw: () => draws.next().value ?? 0 })
      const round = weights.reduce((a, b) => a + b, 0)
      for (let i = 0; i < 4; i++)
        t.deepEqual(
          firsts(pool, round, () => roundRobin(given, 1)),
          weights,
          `round ${i}`,
        )
    }),
    { numRuns: 500 },
  )
})

test('members of equal weight take turns', (t) => {
  const pool = poolOf(7)
  const given = choosing(pool)
  const turns = Array.from({ length: 70 }, () => roundRobin(given, 1)[0])
  for (let i = 0; i < 63; i++) t.is(turns[i], turns[i + 7])
})

test('the turns of a heavy member are spread over the round', (t) => {
  const given = choosing(poolOf([6, 1, 1, 1, 1, 1, 1]))
  const heavy = Array.from({ length: 120 }, () => roundRobin(given, 1)[0] === given.pool.members[0])
  for (let i = 0; i + 4 < heavy.length; i++) t.true(heavy.slice(i, i + 4).includes(true), `at ${i}`)
})

test('proxies with other draws begin elsewhere', (t) => {
  const begins = new Set(
    Array.from(
      { length: 50 },
      (_, seed) => roundRobin(choosing(poolOf(10), { draw: seeded(seed) }), 1)[0]?.ip,
    ),
  )
  t.true(begins.size >= 8, String(begins.size))
})

test('after a change of the pool nobody is skipped or comes twice, but for one turn', (t) => {
  fc.assert(
    fc.property(
      anyWeights,
      anyWeights,
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: -5, max: 5 }),
      fc.nat(),
      (before, after, turns, shift, seed) => {
        const rotation = new Rotation()
        rotation.follow(poolOf(before), seeded(seed))
        for (let i = 0; i < turns; i++) rotation.next()
        // Some members stay with another weight, some leave, some are new.
        const pool = new Pool(
          after.map((_, i) => member(i + Math.max(0, shift))),
          Float64Array.from(after),
        )
        rotation.follow(pool, seeded(seed + 1))
        const counts = after.map(() => 0)
        const round = after.reduce((a, b) => a + b, 0)
        for (let i = 0; i < round; i++) {
          const index = rotation.next()
          counts[index] = (counts[index] ?? 0) + 1
        }
        for (const [index, count] of counts.entries())
          t.true(Math.abs(count - (after[index] ?? 0)) <= 1, JSON.stringify({ before, after, counts }))
      },
    ),
    { numRuns: 500 },
  )
})

test('whoever stays keeps its place when another comes or goes', (t) => {
  for (let seed = 0; seed < 50; seed++) {
    const rotation = new Rotation()
    const draw = seeded(seed)
    const [all, more] = [poolOf(6), poolOf(7)]
    rotation.follow(all, draw)
    const before = Array.from({ length: 6 + (seed % 6) }, () => rotation.next()).slice(-6)
    rotation.follow(seed % 2 === 0 ? more : all.without(new Set([member(5).key])), draw)
    const after = Array.from({ length: 7 }, () => rotation.next()).filter((index) => index < 5)
    t.deepEqual(
      after.slice(0, 5),
      before.filter((index) => index < 5),
      `seed ${seed}`,
    )
  }
})

test('a pool that changes all the time still serves everybody', (t) => {
  // As with slow start, where weights change a hundred times in a window.
  const rotation = new Rotation()
  const counts = [0, 0, 0, 0]
  for (let i = 0; i < 4_000; i++) {
    if (i % 3 === 0) rotation.follow(poolOf([1, 1, 1, 1 + (i % 2) / 1_000]), seeded(i))
    const index = rotation.next()
    counts[index] = (counts[index] ?? 0) + 1
  }
  for (const count of counts) t.true(Math.abs(count - 1_000) <= 10, String(counts))
})

test('who follows a failed member is anybody', (t) => {
  const pool = poolOf(5)
  const given = choosing(pool, { draw: seeded(5) })
  const seconds = [0, 0, 0, 0, 0]
  for (let i = 0; i < 20_000; i++) {
    const [first, second] = roundRobin(given, 2)
    if (first !== pool.members[0] || second === undefined) continue
    const index = pool.members.indexOf(second)
    seconds[index] = (seconds[index] ?? 0) + 1
  }
  t.is(seconds[0], 0)
  t.true(isLikely(seconds.slice(1), [1, 1, 1, 1]), String(seconds))
})

test('candidates are different members, as many as wanted', (t) => {
  fc.assert(
    fc.property(anyWeights, fc.integer({ min: 1, max: 15 }), fc.nat(), (weights, wanted, seed) => {
      const pool = poolOf(weights)
      const chosen = roundRobin(choosing(pool, { draw: seeded(seed) }), wanted)
      return new Set(chosen).size === chosen.length && chosen.length === Math.min(wanted, pool.members.length)
    }),
  )
  t.pass()
})
