import test from 'ava'
import { createMetrics } from '#agent/observe/metrics.ts'
import type { Mechanism, SteeringState } from '#agent/sync/steering-choice.ts'
import { createSteeringRunner, type TestResult } from '#agent/sync/steering-runner.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { quietLog } from '#test/support/quiet-log.ts'

const OK: TestResult = { kind: 'ok', latencyMs: 1 }
const FAILED: TestResult = { kind: 'failed', because: 'no answer' }

async function setUp() {
  const clock = manualClock()
  const world = {
    proxy: undefined as SteeringState['proxy'],
    committed: undefined as Mechanism | undefined,
    results: {} as Partial<Record<Mechanism, TestResult>>,
    tests: 0,
    changes: [] as Mechanism[],
  }
  const metrics = createMetrics({
    onMisuse: (message) => {
      throw new Error(message)
    },
  })
  const runner = await createSteeringRunner({
    option: 'auto',
    probe: () =>
      Promise.resolve([
        { mechanism: 'sk_lookup', unusableBecause: undefined },
        { mechanism: 'dnat', unusableBecause: undefined },
      ]),
    test: () => {
      world.tests += 1
      return Promise.resolve(world.results[world.committed ?? 'off'] ?? OK)
    },
    families: () => ['IPv4', 'IPv6'],
    proxy: () => world.proxy,
    committed: () => world.committed,
    // The agent answers a change of the mechanism with a commit.
    onChange: () => {
      world.changes.push(runner.mechanism())
      world.committed = runner.mechanism()
    },
    clock,
    log: quietLog(),
    metrics,
  })
  await clock.advance(0)
  return {
    clock,
    world,
    metrics,
    runner,
    connect: async (proxy: SteeringState['proxy']) => {
      world.proxy = proxy
      runner.proxiesChanged()
      await clock.advance(3_000)
    },
  }
}

test('nothing is tested before a proxy and the rules are there', async (t) => {
  const { clock, connect, runner, world } = await setUp()
  world.committed = 'sk_lookup'
  await clock.advance(60_000)
  t.is(world.tests, 0)
  world.committed = undefined
  await connect({ skLookup: true })
  await clock.advance(60_000)
  t.is(world.tests, 0)
  t.false(runner.status().active)
})

test('a success makes it active, and the connection is made again and again', async (t) => {
  const { clock, connect, metrics, runner, world } = await setUp()
  world.committed = 'sk_lookup'
  await connect({ skLookup: true })
  t.like(runner.status(), { mechanism: 'sk_lookup', active: true })
  t.is(metrics.value('shunt_steering_active', { mechanism: 'sk_lookup' }), 1)
  const before = world.tests
  await clock.advance(20_000)
  t.is(world.tests - before, 8)
})

test('failures of one family lead to DNAT, whose rules are tested then', async (t) => {
  const { clock, connect, metrics, runner, world } = await setUp()
  world.committed = 'sk_lookup'
  world.results = { sk_lookup: FAILED, dnat: OK }
  await connect({ skLookup: true })
  await clock.advance(10_000)
  t.deepEqual(world.changes, ['dnat'])
  t.like(runner.status(), { mechanism: 'dnat', active: true })
  t.is(runner.status().putAside[0]?.mechanism, 'sk_lookup')
  t.is(metrics.value('shunt_steering_selftest_total', { mechanism: 'sk_lookup', result: 'failed' }), 3)
  t.is(metrics.value('shunt_steering_active', { mechanism: 'sk_lookup' }), 0)
})

test('a proxy that leaves makes it inactive and changes no mechanism', async (t) => {
  const { clock, connect, runner, world } = await setUp()
  world.committed = 'sk_lookup'
  await connect({ skLookup: true })
  await connect(undefined)
  world.results = { sk_lookup: FAILED }
  await clock.advance(30_000)
  t.like(runner.status(), { mechanism: 'sk_lookup', active: false })
  t.deepEqual(world.changes, [])
})

test('after stop nothing waits, even if a proxy leaves then', async (t) => {
  const { clock, connect, runner, world } = await setUp()
  world.committed = 'sk_lookup'
  await connect({ skLookup: true })
  runner.stop()
  await connect(undefined)
  t.is(clock.pending, 0)
})
