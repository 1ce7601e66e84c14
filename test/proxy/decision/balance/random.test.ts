import test from 'ava'
import * as fc from 'fast-check'
import { drawAlike } from '#agent/proxy/decision/balance/draw.ts'
import { random } from '#agent/proxy/decision/balance/random.ts'
import { choosing, firsts, isLikely, poolOf, seeded } from '../pools.ts'

const SHARES: readonly (readonly [string, readonly number[]])[] = [
  ['two alike', [1, 1]],
  ['ten alike', Array.from({ length: 10 }, () => 1)],
  ['small and large weights', [1, 2, 3, 94]],
  ['weights that are no whole numbers', [0.1, 0.25, 0.65]],
  ['weights in falling order', [50, 20, 10, 5, 1]],
]
for (const [name, weights] of SHARES)
  test(`${name}: the first choice is drawn in proportion to the weights`, (t) => {
    const pool = poolOf(weights)
    const given = choosing(pool, { draw: seeded(7) })
    const counts = firsts(pool, 60_000, () => random(given, 1))
    t.true(isLikely(counts, weights), String(counts))
  })

test('the second choice is drawn by the weights of those that are left', (t) => {
  const weights = [1, 2, 3]
  const pool = poolOf(weights)
  const given = choosing(pool, { draw: seeded(3) })
  const pairs = new Map<string, number>()
  for (let i = 0; i < 60_000; i++) {
    const name = random(given, 2)
      .map((each) => pool.members.indexOf(each))
      .join()
    pairs.set(name, (pairs.get(name) ?? 0) + 1)
  }
  const expected = new Map<string, number>()
  for (const [a, first] of weights.entries())
    for (const [b, second] of weights.entries())
      if (a !== b) expected.set(`${a},${b}`, (first / 6) * (second / (6 - first)))
  const names = [...expected.keys()]
  t.true(
    isLikely(
      names.map((name) => pairs.get(name) ?? 0),
      [...expected.values()],
    ),
    JSON.stringify([...pairs]),
  )
})

test('all orders of four members are as likely', (t) => {
  const pool = poolOf(4)
  const draw = seeded(11)
  const orders = new Map<string, number>()
  for (let i = 0; i < 48_000; i++) {
    const order = drawAlike(pool, 4, draw).join()
    orders.set(order, (orders.get(order) ?? 0) + 1)
  }
  t.is(orders.size, 24)
  t.true(isLikely([...orders.values()], Array<number>(24).fill(1)))
})

test('whatever is drawn, the candidates are different members, as many as wanted', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 }),
      ),
      fc.integer({ min: 1, max: 45 }),
      fc.infiniteStream(
        fc.oneof(
          fc.constantFrom(0, 1 - 2 ** -53),
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        ),
      ),
      (sizes, wanted, draws) => {
        const pool = poolOf(sizes)
        const chosen = random(choosing(pool, { draw: () => draws.next().value ?? 0 }), wanted)
        t.is(new Set(chosen).size, Math.min(wanted, pool.members.length))
        t.is(chosen.length, Math.min(wanted, pool.members.length))
        t.true(chosen.every((each) => pool.members.includes(each)))
      },
    ),
    { numRuns: 1_000 },
  )
})
