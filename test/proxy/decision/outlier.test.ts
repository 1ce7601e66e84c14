import test from 'ava'
import * as fc from 'fast-check'
import type { OutlierPolicy } from '#agent/model/connection-policy.ts'
import {
  blamesEndpoint,
  eject,
  HEALTHY_STEP_MS,
  isIn,
  isOutlier,
  isPanic,
  maySpare,
  type OutlierRecord,
} from '#agent/proxy/decision/outlier.ts'

const POLICY: OutlierPolicy = {
  consecutiveFailures: 5,
  baseEjectionMs: 30_000,
  maxEjectionMs: 100_000,
  maxEjectionPercent: 10,
  panicPercent: 50,
}
const NEW: OutlierRecord = { failures: 0, ejections: 0, ejectedUntilMs: -Infinity }

for (const code of ['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET'])
  test(`${code} is the endpoint's fault`, (t) => t.true(blamesEndpoint(code)))
for (const code of ['EADDRNOTAVAIL', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EPERM', 'EACCES', ''])
  test(`${code || 'an unknown code'} is not`, (t) => t.false(blamesEndpoint(code)))

test('five failures in a row make an outlier, four do not', (t) => {
  t.false(isOutlier({ ...NEW, failures: 4 }, 0, POLICY))
  t.true(isOutlier({ ...NEW, failures: 5 }, 0, POLICY))
})

test('who is out is not ejected again', (t) => {
  t.false(isOutlier({ failures: 9, ejections: 1, ejectedUntilMs: 10 }, 9, POLICY))
  t.true(isOutlier({ failures: 9, ejections: 1, ejectedUntilMs: 10 }, 10, POLICY))
})

test('each ejection in a row is longer, up to the longest', (t) => {
  let record: OutlierRecord = { ...NEW, failures: 5 }
  let nowMs = 0
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    record = eject(record, nowMs, POLICY)
    times.push(record.ejectedUntilMs - nowMs)
    t.is(record.failures, 0)
    nowMs = record.ejectedUntilMs
    t.true(isIn(record, nowMs))
    t.false(isIn(record, nowMs - 1))
  }
  t.deepEqual(times, [30_000, 60_000, 90_000, 100_000, 100_000])
})

const HEALTHY: readonly (readonly [number, number])[] = [
  [0, 4],
  [HEALTHY_STEP_MS - 1, 4],
  [HEALTHY_STEP_MS, 3],
  [2 * HEALTHY_STEP_MS, 2],
  [3 * HEALTHY_STEP_MS, 1],
  [90 * HEALTHY_STEP_MS, 1],
]
for (const [healthyMs, times] of HEALTHY)
  test(`after three ejections and ${healthyMs} ms in health the next counts ${times}`, (t) => {
    const after = eject({ failures: 5, ejections: 3, ejectedUntilMs: 1_000 }, 1_000 + healthyMs, POLICY)
    t.is(after.ejections, times)
  })

const SPARE: readonly (readonly [string, number, number, number, boolean])[] = [
  ['the first of one', 1, 0, 10, true],
  ['the second of two', 2, 1, 10, false],
  ['the second of twenty', 20, 1, 10, true],
  ['the third of twenty', 20, 2, 10, false],
  ['the second of nineteen', 19, 1, 10, false],
  ['the first, though nothing may be ejected', 5, 0, 0, true],
  ['the last of all, if all may be', 5, 4, 100, true],
]
for (const [name, size, ejected, maxEjectionPercent, want] of SPARE)
  test(`${name}: ${want ? 'may be' : 'is not'} ejected`, (t) =>
    t.is(maySpare(size, ejected, { ...POLICY, maxEjectionPercent }), want))

test('a pool panics when fewer than the threshold are left, and not at it', (t) => {
  t.false(isPanic(10, 5, POLICY))
  t.true(isPanic(10, 4, POLICY))
  t.true(isPanic(1, 0, POLICY))
  t.false(isPanic(10, 0, { ...POLICY, panicPercent: 0 }))
})

test('an ejection always ends, within the longest time', (t) => {
  fc.assert(
    fc.property(
      fc.record({
        failures: fc.nat(),
        ejections: fc.nat(),
        ejectedUntilMs: fc.oneof(fc.constant(-Infinity), fc.double({ min: 0, max: 1e9, noNaN: true })),
      }),
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.integer({ min: 1, max: 1e6 }),
      (record, sinceMs, baseEjectionMs) => {
        const nowMs = Math.max(0, record.ejectedUntilMs) + sinceMs
        const after = eject(record, nowMs, { ...POLICY, baseEjectionMs })
        const timeMs = after.ejectedUntilMs - nowMs
        return timeMs > 0 && timeMs <= POLICY.maxEjectionMs + 1e-6 && after.ejections >= 1
      },
    ),
  )
  t.pass()
})
