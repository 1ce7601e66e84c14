import test from 'ava'
import { HeartbeatLoop } from '#agent/proxy/heartbeat-loop.ts'
import { quietLog } from '../support/quiet-log.ts'
import { RecordingMetrics } from '../support/recording-metrics.ts'
import { manualClock } from '../support/manual-clock.ts'

function setUp(
  options: {
    readonly refuses?: () => boolean
    readonly sets?: () => boolean
    readonly hindrance?: () => string | undefined
  } = {},
) {
  const clock = manualClock()
  const metrics = new RecordingMetrics()
  const log = quietLog()
  const kernel = { beats: 0, withdrawals: 0 }
  const loop = new HeartbeatLoop(
    {
      beat: () => {
        if (options.refuses?.() === true) return { kind: 'failed', errno: 1, code: 'EPERM' }
        if (options.sets?.() === false) return { kind: 'no-sets' }
        kernel.beats++
        return { kind: 'refreshed' }
      },
      close: () => {},
      withdraw: () => void kernel.withdrawals++,
    },
    { clock, metrics, log, hindrance: options.hindrance ?? (() => undefined), intervalMs: 250 },
  )
  return { clock, metrics, log, kernel, loop }
}

test('it beats at once and then four times a second', async (t) => {
  const { clock, kernel, loop } = setUp()
  loop.start()
  t.is(kernel.beats, 1)
  await clock.advance(1_000)
  t.is(kernel.beats, 5)
  t.like(loop.status, { beating: true, because: '', beats: 5, failures: 0 })
})

test('it beats only while the proxy can serve', async (t) => {
  let hindrance: string | undefined = 'no view was loaded yet'
  const { clock, kernel, loop } = setUp({ hindrance: () => hindrance })
  loop.start()
  await clock.advance(1_000)
  t.is(kernel.beats, 0)
  t.like(loop.status, { beating: false, because: 'no view was loaded yet' })
  hindrance = undefined
  await clock.advance(250)
  t.is(kernel.beats, 1)
})

test('what the kernel refuses is counted, logged once for many, and tried again', async (t) => {
  let refuses = true
  const { clock, kernel, loop, metrics, log } = setUp({ refuses: () => refuses })
  loop.start()
  await clock.advance(2_000)
  t.is(metrics.value('shunt_proxy_heartbeat_failures_total'), 9)
  t.is(log.lines.filter((line) => line.level === 'warn').length, 1)
  t.like(loop.status, { beating: false, because: 'the kernel refused: EPERM', failures: 9 })
  refuses = false
  await clock.advance(250)
  t.is(kernel.beats, 1)
  t.true(loop.status.beating)
})

test('after a stop it never beats again, and the kernel is told once', async (t) => {
  const { clock, kernel, loop } = setUp()
  loop.start()
  loop.stop()
  loop.stop()
  loop.start()
  await clock.advance(5_000)
  t.deepEqual(kernel, { beats: 1, withdrawals: 1 })
  t.is(clock.pending, 0)
})

test('without the sets of an agent it waits, and that is no failure', async (t) => {
  let sets = false
  const { clock, kernel, loop, metrics } = setUp({ sets: () => sets })
  loop.start()
  t.like(loop.status, { beating: false, because: 'the agent has not made the steering sets', failures: 0 })
  sets = true
  await clock.advance(250)
  t.is(kernel.beats, 1)
  t.is(metrics.value('shunt_proxy_heartbeat_failures_total'), 0)
})
