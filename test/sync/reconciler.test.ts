import test from 'ava'
import { ShuntError } from '#agent/model/errors.ts'
import type { Plan } from '#agent/plan/plan.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { VIEW_VERSION, type ProxyView, type ViewFrontend } from '#agent/proxy/decision/view.ts'
import { createReconciler, type SyncStep } from '#agent/sync/reconciler.ts'
import { createViewPublisher } from '#agent/sync/view-publisher.ts'
import type { AckResult } from '#agent/sync/view-server.ts'
import { createMetrics } from '#agent/observe/metrics.ts'
import { aService, aSlice, aSnapshot, someOptions, type ServiceText } from '#test/support/build.ts'
import { fakeDatapath } from '#test/support/fake-datapath.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { quietLog } from '#test/support/quiet-log.ts'

/** A Snapshot with Services `name: address`; all of them steered. */
function snapshotOf(generation: number, services: Readonly<Record<string, string>>): Snapshot {
  return aSnapshot({
    generation,
    services: Object.entries(services).map(([name, address]) =>
      aService({ name, clusterIps: [address], steer: 'always' } satisfies ServiceText),
    ),
    slices: Object.keys(services).map((name) =>
      aSlice({ id: `default/${name}-a`, service: name, endpoints: ['10.244.1.5'] }),
    ),
  })
}

function viewOf(plan: Plan): ProxyView {
  const frontends: Record<string, ViewFrontend> = {}
  for (const family of Object.values(plan.families))
    for (const port of family.ports.values())
      for (const frontend of port.frontends)
        frontends[`${frontend.ip}|${frontend.port}`] = {
          service: port.key,
          kind: frontend.kind,
          pool: { pod: 'cluster', host: 'cluster', outside: 'cluster' },
        }
  const node = { name: plan.options.nodeName, podCidrs: [], addresses: [] }
  return { version: VIEW_VERSION, epoch: 'e', generation: plan.generation, node, frontends, services: {} }
}

function setUp(given: { base?: ProxyView; ack?: AckResult } = {}) {
  const clock = manualClock()
  const log = quietLog()
  const datapath = fakeDatapath()
  const metrics = createMetrics({
    onMisuse: (message) => {
      throw new Error(message)
    },
  })
  /** What happened, in order. */
  const story: string[] = []
  let snapshot = snapshotOf(0, {})
  let synced = true
  let faultAt: SyncStep | undefined
  datapath.onCommit = () => story.push('commit')
  const reconciler = createReconciler({
    source: { synced: () => synced, snapshot: () => snapshot },
    complete: (each) => each,
    planOptions: () => OPTIONS,
    datapath,
    views: createViewPublisher({
      viewOf,
      base: given.base,
      clock,
      lingerMs: LINGER_MS,
      log,
      server: {
        publish: (view) => story.push(`view ${Object.keys(view.frontends).join(' ')}`),
        acked: () => {
          story.push('wait')
          return Promise.resolve(given.ack ?? 'acked')
        },
        proxies: () => [],
      },
    }),
    clock,
    log,
    metrics,
    intervals: { minMs: 100, maxMs: 30_000, retryMs: 1_000 },
    onStep: (step) => {
      if (step === faultAt) throw new Error(`fault after ${step}`)
    },
  })
  const put = (to: Snapshot): void => {
    snapshot = to
    reconciler.request()
  }
  return {
    clock,
    datapath,
    reconciler,
    story,
    metrics,
    log,
    setSynced: (to: boolean) => (synced = to),
    faultAt: (step: SyncStep | undefined) => (faultAt = step),
    /** The change is there, and no time has gone by. */
    put,
    change: async (to: Snapshot): Promise<void> => {
      put(to)
      await clock.advance(200)
    },
  }
}

const OPTIONS = someOptions()
const LINGER_MS = 50
const A = '10.96.0.1'
const B = '10.96.0.2'

test('nothing is written before the source is synced', async (t) => {
  const { change, setSynced, datapath, reconciler } = setUp()
  setSynced(false)
  await change(snapshotOf(1, { a: A }))
  t.is(datapath.commits.length, 0)
  await t.throwsAsync(reconciler.resync(), { instanceOf: ShuntError })
  setSynced(true)
  await change(snapshotOf(1, { a: A }))
  t.is(datapath.commits.length, 1)
})

test('the first commit rebuilds everything, the next ones only what changed', async (t) => {
  const { change, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A, b: B }))
  await change(snapshotOf(2, { a: A, b: '10.96.0.3' }))
  t.deepEqual(
    datapath.commits.map(({ full, size }) => ({ full, size })),
    [
      { full: true, size: 3 },
      { full: false, size: 2 },
    ],
  )
  t.deepEqual([...datapath.kernel.keys()], ['10.96.0.1|80', '10.96.0.3|80'])
  t.like(reconciler.state(), { generation: 2, syncs: 2, failures: 0, pendingSinceMs: null, lastError: null })
})

test('a change that leaves the rules equal commits nothing', async (t) => {
  const { change, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  await change(snapshotOf(2, { a: A }))
  t.is(datapath.commits.length, 1)
  t.is(reconciler.state().generation, 2)
})

test('the proxy knows what comes before the kernel, and keeps what goes until after', async (t) => {
  const { change, story } = setUp()
  await change(snapshotOf(1, { a: A }))
  await change(snapshotOf(2, { b: B }))
  await change(snapshotOf(3, {}))
  t.deepEqual(story, [
    `view ${A}|80`,
    'wait',
    'commit',
    // b comes, a goes
    `view ${B}|80 ${A}|80`,
    'wait',
    'commit',
    `view ${B}|80`,
    // b goes: nothing new to wait for
    'commit',
    'view ',
  ])
})

test('what goes stays with the proxy for a while: a connection may have been steered just before', async (t) => {
  const { change, clock, story, put } = setUp()
  await change(snapshotOf(1, { a: A, b: B }))
  story.length = 0
  put(snapshotOf(2, { a: A }))
  await clock.advance(0)
  t.deepEqual(story, ['commit'], 'committed, and nothing was taken from the proxy')
  await clock.advance(LINGER_MS - 1)
  t.deepEqual(story, ['commit'])
  await clock.advance(1)
  t.deepEqual(story, ['commit', `view ${A}|80`])
})

test('what goes and comes back in time is never taken from the proxy', async (t) => {
  const { change, clock, story } = setUp()
  await change(snapshotOf(1, { a: A, b: B }))
  story.length = 0
  await change(snapshotOf(2, { a: A }))
  t.is(story.at(-1), `view ${A}|80`)
  await change(snapshotOf(3, { a: A, b: B }))
  await clock.advance(10 * LINGER_MS)
  t.is(story.at(-1), 'commit')
  t.is(story.at(-3), `view ${A}|80 ${B}|80`)
})

test('what the proxy served under the last agent is kept until the first commit', async (t) => {
  const before = viewOf({ generation: 9, options: OPTIONS, families: {} })
  const frontend: ViewFrontend = {
    service: 'default/old/TCP' as never,
    kind: 'ClusterIP',
    pool: { pod: 'cluster', host: 'cluster', outside: 'cluster' },
  }
  const { change, story } = setUp({
    base: { ...before, epoch: 'old', frontends: { '10.96.0.9|80': frontend, [`${A}|80`]: frontend } },
  })
  await change(snapshotOf(1, { a: A }))
  t.deepEqual(story, [`view ${A}|80 10.96.0.9|80`, 'commit', `view ${A}|80`])
})

test('a proxy that does not acknowledge holds nothing up', async (t) => {
  const { change, datapath, log } = setUp({ ack: 'timeout' })
  await change(snapshotOf(1, { a: A }))
  t.is(datapath.commits.length, 1)
  t.true(log.lines.some(({ level, message }) => level === 'warn' && /not acknowledged/.test(message)))
})

test('a failed commit keeps the union, is retried, and rebuilds everything', async (t) => {
  const { change, clock, datapath, reconciler, story, metrics } = setUp()
  await change(snapshotOf(1, { a: A }))
  story.length = 0
  datapath.failures = [new ShuntError('PROGRAM_FAILED', 'iptables-restore exited with 4')]
  await change(snapshotOf(2, { b: B }))
  t.deepEqual(story, [`view ${B}|80 ${A}|80`, 'wait', 'commit'])
  t.like(reconciler.state(), { generation: 1, failures: 1, consecutiveFailures: 1 })
  t.is(reconciler.state().lastError?.code, 'PROGRAM_FAILED')
  t.not(reconciler.state().pendingSinceMs, null)
  t.deepEqual([...datapath.kernel.keys()], [`${A}|80`])

  await clock.advance(1_000)
  t.is(datapath.commits.at(-1)?.full, true)
  t.deepEqual([...datapath.kernel.keys()], [`${B}|80`])
  t.is(story.at(-1), `view ${B}|80`)
  t.like(reconciler.state(), { generation: 2, consecutiveFailures: 0, pendingSinceMs: null })
  t.is(metrics.value('shunt_sync_failures_total', { datapath: 'iptables' }), 1)
})

for (const step of ['snapshot', 'plan', 'render', 'change', 'view-add', 'commit', 'view-remove'] as const)
  test(`an error after the step ${step} does not stop the loop`, async (t) => {
    const { change, clock, datapath, faultAt, reconciler } = setUp()
    faultAt(step)
    await change(snapshotOf(1, { a: A }))
    t.is(reconciler.state().consecutiveFailures, 1)
    faultAt(undefined)
    await clock.advance(1_500)
    t.deepEqual([...datapath.kernel.keys()], [`${A}|80`])
    t.is(reconciler.state().consecutiveFailures, 0)
  })

test('drift is found after the sync period, counted and repaired', async (t) => {
  const { change, clock, datapath, reconciler, metrics } = setUp()
  await change(snapshotOf(1, { a: A, b: B }))
  await clock.advance(31_000)
  t.is(reconciler.state().driftRepairs, 0)
  datapath.kernel.delete(`${A}|80`)
  datapath.kernel.set('10.0.0.1|1', 'foreign')
  await clock.advance(30_500)
  t.deepEqual([...datapath.kernel.keys()].sort(), [`${A}|80`, `${B}|80`])
  t.is(reconciler.state().lastDrift?.repair, `+${A}|80\n-10.0.0.1|1`)
  t.is(metrics.value('shunt_drift_repairs_total', { datapath: 'iptables' }), 1)
})

test('drift is found even while changes never cease', async (t) => {
  const { change, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  datapath.kernel.delete(`${A}|80`)
  for (let i = 0; i < 200; i++) await change(snapshotOf(2 + i, { a: A, b: `10.96.1.${i}` }))
  t.is(reconciler.state().driftRepairs, 1)
  t.true(datapath.kernel.has(`${A}|80`))
})

test('a rule set that takes long to read is read less often', async (t) => {
  const { change, clock, datapath } = setUp()
  await change(snapshotOf(1, { a: A }))
  const read = datapath.read.bind(datapath)
  let reads = 0
  datapath.read = async (signal) => {
    reads++
    await new Promise<void>((resolve) => void clock.after(4_000, resolve))
    return await read(signal)
  }
  await clock.advance(36_000)
  t.is(reads, 1)
  await clock.advance(195_000)
  t.is(reads, 1, 'fifty times four seconds have not passed')
  await clock.advance(40_000)
  t.is(reads, 2)
})

test('the log names what a commit changed', async (t) => {
  const { change, log } = setUp()
  await change(snapshotOf(1, { a: A }))
  await change(snapshotOf(2, { a: A, b: B }))
  const { fields } = log.lines.findLast(({ message }) => message === 'the rules are in place') ?? {}
  const { news = [] } = (fields ?? {}) as { news?: readonly string[] }
  t.is(news.length, 1)
  t.regex(news[0] ?? '', /^\+ IPv4 default\/b\S* {2}/)
})

test('rules that cannot be understood are rebuilt', async (t) => {
  const { change, clock, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  datapath.unreadable = true
  await clock.advance(31_000)
  t.is(datapath.commits.at(-1)?.full, true)
  t.is(reconciler.state().driftRepairs, 1)
})

test('resync rebuilds everything and tells how it went', async (t) => {
  const { change, clock, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  const done = reconciler.resync()
  await clock.advance(500)
  t.is((await done).syncs, 2)
  t.is(datapath.commits.at(-1)?.full, true)
})

test('a change during a commit stays pending until it is in the kernel too', async (t) => {
  const { change, clock, datapath, put, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  put(snapshotOf(2, { b: B }))
  datapath.onCommit = () => {
    datapath.onCommit = () => {}
    put(snapshotOf(3, { a: A }))
  }
  await clock.advance(0)
  t.deepEqual([...datapath.kernel.keys()], [`${B}|80`])
  t.is(reconciler.state().pendingSinceMs, clock.wallMs())
  await clock.advance(100)
  t.deepEqual([...datapath.kernel.keys()], [`${A}|80`])
  t.is(reconciler.state().pendingSinceMs, null)
})

test('stop leaves the rules in place', async (t) => {
  const { change, clock, datapath, reconciler } = setUp()
  await change(snapshotOf(1, { a: A }))
  await reconciler.stop(1_000)
  await change(snapshotOf(2, { b: B }))
  await clock.advance(100_000)
  t.deepEqual([...datapath.kernel.keys()], [`${A}|80`])
})
