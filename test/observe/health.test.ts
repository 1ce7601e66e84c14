import test from 'ava'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMetrics } from '#agent/observe/metrics.ts'
import {
  healthReport,
  healthzRoutes,
  listenWithRetry,
  metricsRoutes,
  type HealthFacts,
} from '#agent/observe/health.ts'
import { text, type Reply, type Request } from '#agent/observe/http-json.ts'
import { manualClock, settle } from '#test/support/manual-clock.ts'
import { quietLog } from '#test/support/quiet-log.ts'

const FACTS: HealthFacts = {
  families: ['IPv4', 'IPv6'],
  syncPeriodMs: 30_000,
  pendingSinceMs: null,
  lastSuccessAtMs: 1_000,
  startedAtMs: 0,
  node: { taints: [], deleting: false },
}

const REQUEST: Request = { method: 'GET', path: '/', query: new URLSearchParams(), body: undefined }

async function ask(route: string, facts: HealthFacts, nowMs: number): Promise<Reply | undefined> {
  const metrics = createMetrics({ onMisuse: () => {} })
  return await healthzRoutes(() => facts, manualClock(nowMs), metrics)[route]?.(REQUEST)
}

const NOW = 1_000_000
const ROWS: readonly (readonly [string, Partial<HealthFacts>, number, number])[] = [
  ['an idle node stays healthy for ever (row 81)', {}, 200, 200],
  ['a change that waits less than two periods is fine', { pendingSinceMs: NOW - 59_999 }, 200, 200],
  ['a change that waits two periods is not', { pendingSinceMs: NOW - 60_000 }, 503, 503],
  ['an unknown Node is not eligible (row 83)', { node: undefined }, 503, 200],
  ['a Node that is deleted is not eligible', { node: { taints: [], deleting: true } }, 503, 200],
  [
    "the autoscaler's taint makes it not eligible, and probes do not care (row 80)",
    { node: { taints: ['ToBeDeletedByClusterAutoscaler'], deleting: false } },
    503,
    200,
  ],
  ['other taints do not matter', { node: { taints: ['other'], deleting: false } }, 200, 200],
]

for (const [name, change, healthz, livez] of ROWS)
  test(name, async (t) => {
    t.is((await ask('GET /healthz', { ...FACTS, ...change }, NOW))?.status, healthz)
    const alive = await ask('GET /livez', { ...FACTS, ...change }, NOW)
    t.is(alive?.status, livez)
    t.false(alive?.kind === 'json' && Object.hasOwn(alive.value as object, 'nodeEligible'))
  })

test('lastUpdated is now while healthy, and the last success while not (row 82)', (t) => {
  t.is(healthReport(FACTS, NOW).lastUpdated, new Date(NOW).toISOString())
  const stalled = healthReport({ ...FACTS, pendingSinceMs: 0 }, NOW)
  t.is(stalled.lastUpdated, new Date(1_000).toISOString())
  t.deepEqual(Object.keys(stalled.status), ['IPv4', 'IPv6'])
})

test('answers are counted by code', async (t) => {
  const metrics = createMetrics({ onMisuse: (message) => t.fail(message) })
  const routes = healthzRoutes(() => ({ ...FACTS, node: undefined }), manualClock(NOW), metrics)
  await routes['GET /healthz']?.(REQUEST)
  await routes['GET /livez']?.(REQUEST)
  t.is(metrics.value('kubeproxy_proxy_healthz_total', { code: '503' }), 1)
  t.is(metrics.value('kubeproxy_proxy_livez_total', { code: '200' }), 1)
})

test('the mode is plain text and metrics are of the exposition format (row 84)', async (t) => {
  const routes = metricsRoutes({ metrics: () => 'a 1\n', mode: () => 'iptables' })
  t.like(await routes['GET /proxyMode']?.(REQUEST), { kind: 'text', text: 'iptables' })
  t.like(await routes['GET /healthz']?.(REQUEST), { text: 'ok' })
  const { headers } = (await routes['GET /metrics']?.(REQUEST)) ?? {}
  t.is(headers?.['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
})

test('a taken address is tried again every five seconds (row 78)', async (t) => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  const { port } = holder.address() as AddressInfo
  const clock = manualClock()
  const log = quietLog()
  const routes = { 'GET /': () => text('here') }
  const server = await listenWithRetry('health', { host: '127.0.0.1', port }, routes, clock, log)
  t.teardown(() => server.close())
  t.regex(server.problem() ?? '', /health is not served: cannot listen on 127\.0\.0\.1/)
  await clock.advance(5_000)
  t.is(log.lines.filter(({ level }) => level === 'warn').length, 1)
  await new Promise<void>((resolve) => holder.close(() => resolve()))
  await clock.advance(5_000)
  for (let i = 0; i < 100 && server.problem() !== undefined; i++) await settle()
  t.is(server.problem(), undefined)
  t.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'here')
})
