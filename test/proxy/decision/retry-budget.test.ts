import test from 'ava'
import * as fc from 'fast-check'
import { RetryBudget } from '#agent/proxy/decision/retry-budget.ts'

const BUDGET = { percent: 20, minPerSecond: 10 }

test('without a connection there are so many retries a second, over ten seconds', (t) => {
  t.is(new RetryBudget().left(0, BUDGET), 100)
  t.is(new RetryBudget().left(0, { percent: 20, minPerSecond: 0 }), 0)
})

test('a fifth of the connections is added', (t) => {
  const budget = new RetryBudget()
  for (let i = 0; i < 1_000; i++) budget.countConnection(i)
  t.is(budget.left(1_000, BUDGET), 300)
})

test('what was spent comes back after ten seconds', (t) => {
  const budget = new RetryBudget()
  for (let i = 0; i < 100; i++) budget.countRetry(5_000)
  t.is(budget.left(5_000, BUDGET), 0)
  t.is(budget.left(14_999, BUDGET), 0)
  t.is(budget.left(15_000, BUDGET), 100)
})

test('a retry that is allowed is within the budget of the last ten seconds', (t) => {
  fc.assert(
    fc.property(
      fc.record({ percent: fc.integer({ min: 0, max: 100 }), minPerSecond: fc.integer({ min: 0, max: 5 }) }),
      fc.array(fc.record({ stepMs: fc.nat({ max: 3_000 }), wishes: fc.nat({ max: 5 }) }), { maxLength: 200 }),
      (policy, steps) => {
        const budget = new RetryBudget()
        const connections: number[] = []
        const retries: number[] = []
        let nowMs = 0
        for (const { stepMs, wishes } of steps) {
          nowMs += stepMs
          budget.countConnection(nowMs)
          connections.push(nowMs)
          for (let i = 0; i < wishes && budget.left(nowMs, policy) > 0; i++) {
            budget.countRetry(nowMs)
            retries.push(nowMs)
            const recent = (times: readonly number[]): number =>
              times.filter((each) => Math.floor(each / 1_000) > Math.floor(nowMs / 1_000) - 10).length
            t.true(
              recent(retries) <=
                (policy.percent / 100) * recent(connections) + policy.minPerSecond * 10 + 1e-9,
            )
          }
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('a clock that stands still or goes back is no reason for more', (t) => {
  const budget = new RetryBudget()
  for (let i = 0; i < 100; i++) budget.countRetry(20_000)
  t.is(budget.left(3_000, BUDGET), 0)
  budget.countRetry(1_000)
  t.is(budget.left(29_999, { percent: 0, minPerSecond: 10 }), 0)
})
