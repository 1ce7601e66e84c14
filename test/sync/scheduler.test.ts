import test from 'ava'
import { createScheduler } from '#agent/sync/scheduler.ts'
import { manualClock } from '#test/support/manual-clock.ts'

function setUp(durationMs = 0, results: boolean[] = []) {
  const clock = manualClock(0)
  const starts: number[] = []
  const scheduler = createScheduler({
    minIntervalMs: 100,
    maxIntervalMs: 10_000,
    retryIntervalMs: 1_000,
    clock,
    run: async () => {
      starts.push(clock.monotonicMs())
      if (durationMs > 0) await new Promise<void>((resolve) => void clock.after(durationMs, resolve))
      return results.shift() ?? true
    },
  })
  return { clock, starts, scheduler }
}

test('nothing runs before the first request', async (t) => {
  const { clock, starts } = setUp()
  await clock.advance(100_000)
  t.deepEqual(starts, [])
})

test('the first request runs at once', async (t) => {
  const { clock, starts, scheduler } = setUp()
  scheduler.request()
  await clock.advance(0)
  t.deepEqual(starts, [0])
})

test('a burst of requests becomes one run at once and one after the minimum interval', async (t) => {
  const { clock, starts, scheduler } = setUp()
  for (let i = 0; i < 100; i++) scheduler.request()
  await clock.advance(0)
  for (let i = 0; i < 100; i++) scheduler.request()
  await clock.advance(5_000)
  t.deepEqual(starts, [0, 100])
})

test('the minimum interval counts from the end of a run', async (t) => {
  const { clock, starts, scheduler } = setUp(500)
  scheduler.request()
  await clock.advance(250)
  scheduler.request()
  await clock.advance(1_000)
  t.deepEqual(starts, [0, 600])
})

test('a request during a run asks for another run', async (t) => {
  const { clock, starts, scheduler } = setUp(50)
  scheduler.request()
  await clock.advance(10)
  scheduler.request()
  await clock.advance(1_000)
  t.deepEqual(starts, [0, 150])
})

test('without requests it runs after the maximum interval', async (t) => {
  const { clock, starts, scheduler } = setUp()
  scheduler.request()
  await clock.advance(25_000)
  t.deepEqual(starts, [0, 10_000, 20_000])
})

test('a request moves the maximum interval', async (t) => {
  const { clock, starts, scheduler } = setUp()
  scheduler.request()
  await clock.advance(9_000)
  scheduler.request()
  await clock.advance(10_500)
  t.deepEqual(starts, [0, 9_000, 19_000])
})

test('a failed run is retried after the retry interval until one succeeds', async (t) => {
  const { clock, starts, scheduler } = setUp(0, [false, false, true])
  scheduler.request()
  await clock.advance(9_000)
  t.deepEqual(starts, [0, 1_000, 2_000])
})

test('a request after a failure does not wait for the retry', async (t) => {
  const { clock, starts, scheduler } = setUp(0, [false])
  scheduler.request()
  await clock.advance(10)
  scheduler.request()
  await clock.advance(5_000)
  t.deepEqual(starts, [0, 100])
})

test('a run that throws counts as failed and does not stop the schedule', async (t) => {
  const clock = manualClock(0)
  let runs = 0
  const scheduler = createScheduler({
    minIntervalMs: 0,
    maxIntervalMs: 10_000,
    retryIntervalMs: 1_000,
    clock,
    run: async () => {
      await Promise.resolve()
      if (runs++ === 0) throw new Error('no')
      return true
    },
  })
  scheduler.request()
  await clock.advance(1_500)
  t.is(runs, 2)
})

test('after stop nothing starts, and stop waits for the run under way', async (t) => {
  const { clock, starts, scheduler } = setUp(500)
  scheduler.request()
  await clock.advance(100)
  let over = false
  const stopped = scheduler.stop().then(() => (over = true))
  await clock.advance(300)
  t.false(over)
  await clock.advance(200)
  await stopped
  scheduler.request()
  await clock.advance(50_000)
  t.deepEqual(starts, [0])
  t.is(clock.pending, 0)
})
