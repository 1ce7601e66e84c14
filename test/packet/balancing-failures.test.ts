// Endpoints that fail, through the real agent and the real proxy with two workers: who is ejected and comes back, what
// clients notice of it, and what retries cost.

import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { until } from '../support/lab/wait.ts'
import { BalancingStage, tally, type BalancedService } from './balancing/stage.ts'

const NEVER_SPENT = { percent: 100, minRetryRate: { count: 10_000, interval: '1s' } }

const FLAKY: BalancedService = {
  name: 'flaky',
  number: 130,
  endpoints: ['p11', 'p12', 'p21'],
  policy: {
    loadBalancer: { type: 'RoundRobin' },
    outlierDetection: { consecutiveFailures: 3, baseEjectionTime: '8s' },
  },
}
const PANIC: BalancedService = {
  name: 'panic',
  number: 131,
  endpoints: ['p11', 'p12', 'p21'],
  policy: {
    outlierDetection: {
      consecutiveFailures: 2,
      baseEjectionTime: '10m',
      maxEjectionTime: '10m',
      maxEjectionPercent: 100,
      panicThresholdPercent: 50,
    },
    retryBudget: NEVER_SPENT,
  },
}
const STICKY: BalancedService = {
  name: 'sticky',
  number: 132,
  endpoints: ['p11', 'p12', 'p21'],
  spec: { sessionAffinity: 'ClientIP' },
  policy: {
    loadBalancer: { type: 'LeastConnections' },
    outlierDetection: { consecutiveFailures: 1, baseEjectionTime: '8s' },
  },
}
const OUTAGE: BalancedService = {
  name: 'outage',
  number: 133,
  endpoints: ['p11', 'p21'],
  listening: 'nobody',
  policy: {
    connect: { deadline: '8s', backoff: { base: '10ms', max: '100ms' } },
    retryBudget: NEVER_SPENT,
  },
}
const DEAD: BalancedService = {
  name: 'dead',
  number: 134,
  endpoints: ['p11', 'p21'],
  listening: 'nobody',
  policy: {
    connect: { attemptTimeout: '200ms', deadline: '700ms', backoff: { base: '10ms', max: '100ms' } },
    retryBudget: NEVER_SPENT,
  },
}
const SPENT: BalancedService = {
  name: 'spent',
  number: 135,
  endpoints: ['p11', 'p12', 'p21'],
  listening: 'nobody',
  policy: {
    connect: { deadline: '8s' },
    retryBudget: { percent: 0, minRetryRate: { count: 1, interval: '1s' } },
  },
}

let stage: BalancingStage

test.before(async () => {
  stage = await BalancingStage.start([FLAKY, PANIC, STICKY, OUTAGE, DEAD, SPENT])
})

test.after.always(() => stage?.stop())

test.serial('an endpoint that refuses is ejected after three failures, and no client notices', async (t) => {
  await stage.unlisten('p12', FLAKY)
  // One after the other, so that few are decided while the third failure is still on its way.
  const counts = tally(await stage.connect(FLAKY, { count: 60, concurrency: 1 }))
  t.deepEqual(Object.keys(counts).sort(), ['p11', 'p21'], 'everybody was answered')
  t.deepEqual(await stage.ejected(FLAKY), ['p12'])
  const refused = await stage.metric('shunt_proxy_connect_attempts_total', FLAKY, { result: 'ECONNREFUSED' })
  // A worker that is not scheduled tells of it late; each turn of the endpoint is three connections later.
  t.true(refused >= 3 && refused <= 6, `${refused} attempts failed`)
  t.is(await stage.metric('shunt_proxy_ejections_total', FLAKY), 1)
  t.is(await stage.metric('shunt_proxy_endpoints_ejected', FLAKY), 1)
})

test.serial('when its time is over it gets its turns again', async (t) => {
  await stage.listen('p12', FLAKY)
  await untilNoneEjected(FLAKY)
  t.is(await stage.metric('shunt_proxy_endpoints_ejected', FLAKY), 0)
  t.deepEqual(tally(await stage.connect(FLAKY, { count: 300 })), { p11: 100, p12: 100, p21: 100 })
})

test.serial('with most of the endpoints ejected all are tried, and no client notices', async (t) => {
  await stage.unlisten('p12', PANIC)
  await stage.unlisten('p21', PANIC)
  t.deepEqual(tally(await stage.connect(PANIC, { count: 60, concurrency: 4 })), { p11: 60 })
  t.deepEqual(await stage.ejected(PANIC), ['p12', 'p21'])
  await stage.listen('p12', PANIC)
  await stage.listen('p21', PANIC)
  const counts = tally(await stage.connect(PANIC, { count: 300 }))
  t.deepEqual(Object.keys(counts).sort(), ['p11', 'p12', 'p21'], 'all of them answer')
  for (const pod of PANIC.endpoints) t.true((counts[pod] ?? 0) > 50, JSON.stringify(counts))
  t.deepEqual(await stage.ejected(PANIC), ['p12', 'p21'], 'though their time is not over')
  const [last] = await stage.connections(PANIC)
  t.regex(last?.why ?? '', /2 ejected, which is too many: used all the same/)
})

test.serial('affinity: a client whose endpoint is ejected has another one, and keeps that', async (t) => {
  const [own = '', ...none] = Object.keys(tally(await stage.connect(STICKY, { count: 100, concurrency: 8 })))
  t.deepEqual(none, [], 'a client has one endpoint, whatever the balancer')
  await stage.unlisten(own, STICKY)
  const falling = tally(await stage.connect(STICKY, { count: 20, concurrency: 4 }))
  t.is((falling['p11'] ?? 0) + (falling['p12'] ?? 0) + (falling['p21'] ?? 0), 20, 'everybody was answered')
  t.deepEqual(await stage.ejected(STICKY), [own])
  const [other = '', ...more] = Object.keys(tally(await stage.connect(STICKY, { count: 50 })))
  t.deepEqual(more, [], 'again there is one endpoint')
  t.not(other, own)
  await stage.listen(own, STICKY)
  await untilNoneEjected(STICKY)
  t.deepEqual(tally(await stage.connect(STICKY, { count: 50 })), { [other]: 50 })
})

test.serial(
  'all endpoints are down for a second: clients of that second are served when they are back',
  async (t) => {
    const waiting = stage.connect(OUTAGE, { count: 30, concurrency: 30, timeoutMs: 15_000 })
    await sleep(1_000)
    await Promise.all(OUTAGE.endpoints.map((pod) => stage.listen(pod, OUTAGE)))
    const seen = await waiting
    const counts = tally(seen)
    t.is((counts['p11'] ?? 0) + (counts['p21'] ?? 0), 30, JSON.stringify(counts))
    const [soonest, latest] = [Math.min(...seen.map(({ ms }) => ms)), Math.max(...seen.map(({ ms }) => ms))]
    t.log({ soonest, latest })
    t.true(soonest > 100, `the soonest after ${soonest} ms`)
    t.true((await stage.metric('shunt_proxy_retries_total', OUTAGE, { result: 'tried' })) >= 30)
  },
)

test.serial('nobody is back before the deadline: clients are reset then, and counted', async (t) => {
  const seen = await stage.connect(DEAD, { count: 20, concurrency: 20 })
  t.deepEqual(tally(seen), { 'broken ECONNRESET': 20 })
  for (const { ms } of seen) t.true(ms >= 500 && ms < 5_000, `after ${ms} ms`)
  t.is(await stage.metric('shunt_proxy_connections_ended_total', DEAD, { outcome: 'deadline' }), 20)
  t.is(await stage.metric('shunt_proxy_retries_total', DEAD, { result: 'deadline' }), 20)
  // With waits of at most 100 ms a connection comes round several times, and is far from a loop without waits.
  const attempts = await stage.metric('shunt_proxy_connect_attempts_total', DEAD)
  t.log({ attempts })
  t.true(attempts > 100 && attempts < 20 * 200, `${attempts} attempts`)
})

test.serial('the retry budget is spent: clients are reset at once, and counted', async (t) => {
  const seen = await stage.connect(SPENT, { count: 100, concurrency: 1 })
  t.deepEqual(tally(seen), { 'broken ECONNRESET': 100 })
  t.is(await stage.metric('shunt_proxy_connections_ended_total', SPENT, { outcome: 'budget' }), 100)
  const attempts = await stage.metric('shunt_proxy_connect_attempts_total', SPENT)
  t.log({ attempts })
  // Each tried all three; ten retries of the last ten seconds, and one more of each second that it took.
  t.true(attempts >= 310 && attempts <= 330, `${attempts} attempts`)
})

function untilNoneEjected(service: BalancedService): Promise<number> {
  return until('nobody is ejected', async () => (await stage.ejected(service)).length === 0, {
    withinMs: 20_000,
    everyMs: 250,
  })
}
