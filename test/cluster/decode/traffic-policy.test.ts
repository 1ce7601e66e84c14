// TrafficPolicy: what is good, what is said of the rest, and what the defaults are.

import test from 'ava'
import { decodeTrafficPolicy } from '#agent/cluster/decode/traffic-policy.ts'
import { DEFAULT_CONNECTION_POLICY, DEFAULT_OUTLIER_POLICY } from '#agent/model/connection-policy.ts'
import { SPECS, WHOLE_SPEC } from '../../fixtures/traffic-policy/specs.ts'

const metadata = { name: 'p', namespace: 'prod' }

for (const { it, spec, says = [] } of SPECS) {
  test(`${it} ${says.length === 0 ? 'is good' : 'is refused, saying where and why'}`, (t) => {
    const { value, problems } = decodeTrafficPolicy({ metadata, spec })
    const errors = problems.filter(({ severity }) => severity === 'error')
    t.deepEqual(
      errors.map(({ field, message }) => `${field}: ${message}`),
      says,
    )
    t.is(value === undefined, says.length > 0)
  })
}

test('a target alone means the defaults', (t) => {
  const { value } = decodeTrafficPolicy({ metadata, spec: { targetRefs: [{ name: 'web' }] } })
  t.deepEqual(value, [
    { id: 'prod/p', service: 'prod/web', connection: DEFAULT_CONNECTION_POLICY, weights: [] } as never,
  ])
})

test('empty parts mean the defaults, and an empty outlierDetection Envoy’s', (t) => {
  const spec = {
    targetRefs: [{ name: 'web' }],
    loadBalancer: { slowStart: {} },
    connect: { backoff: {} },
    retryBudget: { minRetryRate: {} },
    timeouts: {},
    outlierDetection: {},
    limits: {},
    proxyProtocol: {},
  }
  const { value } = decodeTrafficPolicy({ metadata, spec })
  t.deepEqual(value?.[0]?.connection, { ...DEFAULT_CONNECTION_POLICY, outlier: DEFAULT_OUTLIER_POLICY })
})

test('every field arrives', (t) => {
  const { value } = decodeTrafficPolicy({
    metadata: { ...metadata, creationTimestamp: '2026-01-02T03:04:05Z' },
    spec: WHOLE_SPEC,
  })
  t.deepEqual(JSON.parse(JSON.stringify(value)), [
    {
      id: 'prod/p',
      service: 'prod/web',
      section: 'http',
      createdAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
      connection: {
        balancer: {
          kind: 'LeastConnections',
          slowStart: { windowMs: 30_000, minWeightPercent: 5, aggression: 1.5 },
          decayMs: 90_000,
        },
        connect: {
          attemptTimeoutMs: 500,
          deadlineMs: 3_000,
          backoff: { baseMs: 10, maxMs: 100 },
          retryBudget: { percent: 25, minPerSecond: 3 },
        },
        timeouts: { idleMs: 3_600_000, halfClosedMs: 300_000, silentMs: 30_000, lifetimeMs: 86_400_000 },
        outlier: {
          consecutiveFailures: 3,
          baseEjectionMs: 10_000,
          maxEjectionMs: 60_000,
          maxEjectionPercent: 50,
          panicPercent: 30,
        },
        limits: { fair: false, maxConnections: 1_000, maxConnectionsPerClient: 100 },
        proxyProtocol: { send: 'v2', acceptFrom: ['192.168.0.0/16'] },
      },
      weights: [
        { kind: 'zone', zone: 'eu-1a', weight: 2 },
        { kind: 'node', node: 'worker-1.example', weight: 0 },
        { kind: 'addresses', cidrs: ['10.1.0.0/16', 'fd00:1::/64'], weight: 1_000 },
      ],
    },
  ])
})

test('the targets of one policy share what it says', (t) => {
  const { value } = decodeTrafficPolicy({ metadata, spec: { targetRefs: [{ name: 'a' }, { name: 'b' }] } })
  t.is(value?.length, 2)
  t.is(value?.[0]?.connection, value?.[1]?.connection)
})

test('what the balancer has no use for is warned of', (t) => {
  for (const [type, says] of [
    ['Maglev', ['slowStart: has no effect with Maglev', 'decay: has no effect with Maglev']],
    ['PeakEWMA', ['slowStart: has no effect with PeakEWMA']],
    ['RoundRobin', ['decay: has no effect with RoundRobin']],
  ] as const) {
    const loadBalancer = { type, slowStart: { window: '10s' }, decay: '1s' }
    const spec = { targetRefs: [{ name: 'web' }], loadBalancer }
    const { value, problems } = decodeTrafficPolicy({ metadata, spec })
    t.is(value?.length, 1)
    t.deepEqual(
      problems.map(({ severity, field, message }) => `${severity} ${field}: ${message}`),
      says.map((text) => `warning spec.loadBalancer.${text}`),
    )
  }
})

test('a policy without a spec is refused', (t) => {
  const { value, problems } = decodeTrafficPolicy({ metadata })
  t.is(value, undefined)
  t.deepEqual(
    problems.map(({ field, message }) => `${field}: ${message}`),
    ['spec: missing: a TrafficPolicy needs a spec'],
  )
})
