import test from 'ava'
import * as fc from 'fast-check'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import {
  backoffMs,
  nextRound,
  NOT_TRIED,
  type Exhausted,
  type NextRound,
} from '#agent/proxy/decision/retry.ts'
import { connectDecision } from '../views.ts'
import { member, members, seeded } from './pools.ts'

const { backoff } = DEFAULT_CONNECTION_POLICY.connect

function exhausted(given: Partial<Exhausted> & { roundComplete?: boolean } = {}): Exhausted {
  const { roundComplete = true, ...rest } = given
  return {
    decision: { ...connectDecision(members(2)), roundComplete },
    progress: NOT_TRIED,
    deadlineAtMs: 10_000,
    retriesLeft: 1,
    ...rest,
  }
}

const summary = (next: NextRound): string =>
  next.kind === 'giveUp'
    ? next.because
    : `wait ${next.delayMs}, round ${next.progress.round}, tried ${next.progress.tried.size}`

const ROWS: readonly (readonly [string, Exhausted, number, string])[] = [
  ['endpoints are left: at once', exhausted({ roundComplete: false }), 100, 'wait 0, round 0, tried 2'],
  ['all were tried: after half of the base', exhausted(), 100, 'wait 12.5, round 1, tried 0'],
  [
    'the third round: after half of four times the base',
    exhausted({ progress: { round: 2, tried: new Set() } }),
    100,
    'wait 50, round 3, tried 0',
  ],
  [
    'a late round: after half of the longest wait',
    exhausted({ progress: { round: 40, tried: new Set() } }),
    100,
    'wait 125, round 41, tried 0',
  ],
  ['the deadline is here', exhausted(), 10_000, 'deadline'],
  ['the wait would reach the deadline', exhausted(), 9_990, 'deadline'],
  ['the budget is spent', exhausted({ retriesLeft: 0 }), 100, 'budget'],
  [
    'endpoints are left, and the budget is spent',
    exhausted({ roundComplete: false, retriesLeft: 0 }),
    100,
    'budget',
  ],
  ['both are over: the deadline is the reason', exhausted({ retriesLeft: 0 }), 10_000, 'deadline'],
]
for (const [name, given, nowMs, want] of ROWS)
  test(name, (t) => t.is(summary(nextRound(given, nowMs, () => 0.5)), want))

test('what was tried before in the round stays tried', (t) => {
  const next = nextRound(
    exhausted({ roundComplete: false, progress: { round: 1, tried: new Set([member(9).key]) } }),
    0,
    () => 0,
  )
  t.deepEqual(next.kind === 'wait' && [...next.progress.tried].sort(), [
    member(0).key,
    member(1).key,
    member(9).key,
  ])
})

test('a wait is uniform below its bound: full jitter', (t) => {
  const draw = seeded(4)
  for (const [round, bound] of [25, 50, 100, 200, 250, 250].entries()) {
    const waits = Array.from({ length: 10_000 }, () => backoffMs(round, backoff, draw))
    t.true(waits.every((wait) => wait >= 0 && wait < bound))
    const mean = waits.reduce((a, b) => a + b, 0) / waits.length
    t.true(Math.abs(mean - bound / 2) < bound * 0.012, `${round}: ${mean}`)
  }
})

test('no attempt begins at or after the deadline, and it always comes to an end', (t) => {
  fc.assert(
    fc.property(
      fc.record({ baseMs: fc.integer({ min: 1, max: 1_000 }), maxMs: fc.integer({ min: 1, max: 5_000 }) }),
      fc.integer({ min: 0, max: 20_000 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
      fc.nat(),
      (waits, deadlineAtMs, complete, seed) => {
        const draw = seeded(seed)
        const made = connectDecision(members(2), { backoff: waits })
        let nowMs = 0
        let progress = NOT_TRIED
        for (let i = 0; ; i++) {
          const roundComplete = complete[i % complete.length] ?? true
          const given = exhausted({ decision: { ...made, roundComplete }, progress, deadlineAtMs })
          const next = nextRound(given, nowMs, draw)
          if (next.kind === 'giveUp') return t.is(next.because, 'deadline')
          nowMs += next.delayMs
          t.true(nowMs < deadlineAtMs)
          t.true(next.progress.round <= i + 1)
          progress = next.progress
          // What an attempt takes at the least.
          nowMs += 1
        }
      },
    ),
    { numRuns: 300 },
  )
})
