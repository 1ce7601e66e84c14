// The watch over engines: who accepts from which listener while one is stuck, dead, or back.

import test from 'ava'
import { createMetrics } from '#agent/observe/metrics.ts'
import { Workers } from '#agent/proxy/workers.ts'
import { manualClock } from '../support/manual-clock.ts'
import { quietLog } from '../support/quiet-log.ts'
import { FakeEngine } from './fake-engine.ts'
import { silentEvents } from './silent-events.ts'

function setUp(options: { readonly count?: number; readonly listeners?: readonly number[] } = {}) {
  const clock = manualClock()
  const log = quietLog()
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  const engines: FakeEngine[] = []
  const lost: number[] = []
  const refusal: { because: string | undefined } = { because: undefined }
  const workers = new Workers({
    clock,
    log,
    metrics,
    count: options.count ?? 2,
    listeners: options.listeners ?? [4, 6],
    makeEngine() {
      if (refusal.because !== undefined) throw new Error(refusal.because)
      const engine = new FakeEngine(silentEvents(), () => clock.monotonicMs())
      engines.push(engine)
      return engine
    },
    lose: (worker) => lost.push(worker.number),
  })
  const engine = (at: number): FakeEngine => {
    const found = engines[at]
    if (found === undefined) throw new Error(`there is no engine ${at}`)
    return found
  }
  const accepting = (): readonly (readonly number[])[] =>
    engines.map(({ listeners }) => [...listeners].toSorted((a, b) => a - b))
  return { clock, log, metrics, engines, engine, accepting, lost, refusal, workers }
}

const SHARES = [
  {
    name: 'one of each family for each worker',
    count: 2,
    listeners: [40, 41, 60, 61],
    want: [
      [40, 60],
      [41, 61],
    ],
  },
  {
    name: 'more listeners than workers: all are served',
    count: 2,
    listeners: [1, 2, 3],
    want: [[1, 3], [2]],
  },
  { name: 'one worker serves all', count: 1, listeners: [1, 2], want: [[1, 2]] },
] as const

for (const { name, count, listeners, want } of SHARES)
  test(name, (t) => {
    const { workers, accepting } = setUp({ count, listeners })
    workers.start()
    t.deepEqual(accepting(), want)
    t.is(workers.healthy, count)
    workers.close()
  })

test('workers that share a listener stand in for each other as they are', async (t) => {
  const { clock, workers, engine, accepting } = setUp({ listeners: [4, 4] })
  workers.start()
  engine(0).stuckSinceMs = clock.monotonicMs()
  await clock.advance(2_000)
  t.deepEqual(accepting(), [[4], [4]])
  engine(0).stuckSinceMs = undefined
  await clock.advance(250)
  t.deepEqual(accepting(), [[4], [4]], 'nothing was lent, so nothing is taken back')
  workers.close()
})

test('an engine that cannot be made leaves none behind', (t) => {
  const { workers, refusal } = setUp()
  refusal.because = 'no threads'
  t.throws(() => workers.start(), { message: 'no threads' })
  t.is(workers.healthy, 0)
})

test('the listeners of a stuck engine are served by another until it goes round again', async (t) => {
  const { clock, log, metrics, workers, engine, accepting } = setUp()
  workers.start()
  engine(0).stuckSinceMs = clock.monotonicMs()
  await clock.advance(1_000)
  t.deepEqual(accepting(), [[4], [6]], 'a second may pass')
  await clock.advance(250)
  t.deepEqual(accepting(), [[4], [4, 6]])
  t.is(workers.healthy, 1)
  t.deepEqual(workers.problems(), ['worker 0 is stuck'])
  t.is(metrics.value('shunt_proxy_worker_stalls_total', { worker: '0' }), 1)
  await clock.advance(5_000)
  t.is(log.lines.filter(({ level }) => level === 'error').length, 1, 'said once')

  engine(0).stuckSinceMs = undefined
  await clock.advance(250)
  t.deepEqual(accepting(), [[4], [6]])
  t.deepEqual(workers.problems(), [])
  workers.close()
})

test('when the one that stands in is stuck too, a third takes over; when all are, nobody is healthy', async (t) => {
  const { clock, workers, engine, accepting } = setUp({ count: 3, listeners: [1, 2, 3] })
  workers.start()
  engine(0).stuckSinceMs = clock.monotonicMs()
  await clock.advance(1_250)
  t.deepEqual(accepting(), [[1], [1, 2], [3]])
  engine(1).stuckSinceMs = clock.monotonicMs()
  await clock.advance(1_250)
  t.deepEqual(accepting(), [[1], [2], [1, 2, 3]])
  engine(2).stuckSinceMs = clock.monotonicMs()
  await clock.advance(1_250)
  t.is(workers.healthy, 0)
  workers.close()
})

test('a pause of this thread is nobody else’s fault', async (t) => {
  const { clock, workers, engine } = setUp()
  workers.start()
  engine(0).stuckSinceMs = clock.monotonicMs()
  clock.jump(5_000)
  await clock.advance(0)
  t.is(workers.healthy, 2, 'what was last heard of the engines is as old as the pause')
  await clock.advance(250)
  t.is(workers.healthy, 1)
  workers.close()
})

test('an engine whose thread ended is replaced, with the same listeners', async (t) => {
  const { clock, log, metrics, workers, engine, accepting, lost } = setUp()
  workers.start()
  engine(1).died = 'out of memory'
  await clock.advance(250)
  t.deepEqual(lost, [1])
  t.true(engine(1).closed)
  t.deepEqual(accepting(), [[4], [], [6]])
  t.deepEqual(
    workers.status().map(({ number, state }) => [number, state]),
    [
      [0, 'healthy'],
      [1, 'healthy'],
    ],
  )
  t.is(metrics.value('shunt_proxy_worker_losses_total', { worker: '1' }), 1)
  t.true(log.lines.some(({ fields }) => 'because' in fields && fields.because === 'out of memory'))
  await clock.advance(1_000)
  t.deepEqual(lost, [1], 'its connections end once')
  workers.close()
})

test('one that cannot be replaced is stood in for, and tried again', async (t) => {
  const { clock, log, workers, engine, engines, accepting, lost, refusal } = setUp()
  workers.start()
  engine(0).died = 'a defect'
  refusal.because = 'no threads'
  await clock.advance(2_000)
  t.deepEqual(accepting(), [[], [4, 6]])
  t.deepEqual(workers.problems(), ['worker 0 is lost'])
  t.deepEqual(lost, [0])
  t.is(log.lines.filter(({ level }) => level === 'error').length, 2)
  refusal.because = undefined
  await clock.advance(250)
  t.is(engines.length, 3)
  t.deepEqual(accepting(), [[], [6], [4]])
  t.deepEqual(workers.problems(), [])
  workers.close()
})

test('one that dies while it stands in for another is replaced, and the listener lent anew', async (t) => {
  const { clock, workers, engine, accepting } = setUp()
  workers.start()
  engine(0).stuckSinceMs = clock.monotonicMs()
  await clock.advance(1_250)
  engine(1).died = 'a defect'
  await clock.advance(250)
  t.deepEqual(accepting(), [[4], [], [4, 6]])
  workers.close()
})

test('accepting stops everywhere; an engine that does not answer is waited for a second', async (t) => {
  const { clock, workers, engine, accepting } = setUp()
  workers.start()
  t.true(await workers.stopAccepting())
  t.deepEqual(accepting(), [[], []])
  await clock.advance(1_000)
  t.deepEqual(accepting(), [[], []])
  workers.close()

  const other = setUp()
  other.workers.start()
  other.engine(0).stuckSinceMs = other.clock.monotonicMs()
  const stopped = other.workers.stopAccepting()
  await other.clock.advance(1_000)
  t.false(await stopped)
  other.workers.close()
  t.true(engine(0).closed)
})

test('shortages are told with what to do, once for many', async (t) => {
  const { clock, log, workers, engine } = setUp()
  workers.start()
  for (let i = 0; i < 8; i++) {
    engine(0).counters.pipe_shortages += 3
    await clock.advance(250)
  }
  const warnings = log.lines.filter(({ level }) => level === 'warn')
  t.is(warnings.length, 1)
  t.regex(warnings[0]?.message ?? '', /pipe-user-pages-soft/)
  workers.close()
})
