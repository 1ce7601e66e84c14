import test from 'ava'
import { agentStatus, countProblems, type StatusInput } from '#agent/sync/status.ts'

const GOOD: StatusInput = {
  nowMs: 100_000,
  version: '0.1.0',
  pid: 1,
  startedAtMs: 0,
  syncPeriodMs: 30_000,
  node: { name: 'n1', origin: 'object', addresses: [], podCidrs: [] },
  source: {
    kind: 'manifests',
    place: '/m',
    synced: true,
    services: 1,
    slices: 1,
    problems: { errors: 0, warnings: 3 },
  },
  datapath: { name: 'iptables', detail: '', families: ['IPv4'], passedOver: [] },
  sync: {
    generation: 4,
    syncs: 4,
    failures: 0,
    consecutiveFailures: 0,
    lastSuccessAtMs: 90_000,
    lastDurationMs: 3,
    lastFull: false,
    lastKernelMs: {},
    lastError: null,
    pendingSinceMs: null,
    driftRepairs: 0,
    lastDrift: null,
  },
  steering: { mechanism: 'sk_lookup', because: '', active: true, lastTest: null, putAside: [] },
  proxies: [{ pid: 2, skLookup: true, ackedGeneration: 4, connectedAtMs: 0 }],
  setbacks: [],
  steeredFrontends: 2,
  steeredBy: { policy: 2 },
}

const FAILED_TEST = { mechanism: 'dnat', atMs: 0, results: {} } as const
const ROWS: readonly (readonly [string, Partial<StatusInput>, string, readonly RegExp[]])[] = [
  ['all is well', {}, 'ready', []],
  [
    'the source is not read',
    { source: { ...GOOD.source, synced: false } },
    'starting',
    [/\/m has not been read completely/],
  ],
  [
    'the first sync is under way',
    { sync: { ...GOOD.sync, generation: null, lastSuccessAtMs: null } },
    'starting',
    [/first sync/],
  ],
  [
    'the first sync failed',
    {
      sync: {
        ...GOOD.sync,
        generation: null,
        failures: 1,
        consecutiveFailures: 1,
        lastError: { code: 'PROGRAM_FAILED', message: 'no xtables', atMs: 0 },
      },
    },
    'degraded',
    [/^1 sync failed in a row.*no xtables/],
  ],
  [
    'a change waits too long',
    { sync: { ...GOOD.sync, pendingSinceMs: 40_000 } },
    'degraded',
    [/waiting for 60 s/],
  ],
  ['a change waits for a moment', { sync: { ...GOOD.sync, pendingSinceMs: 41_000 } }, 'ready', []],
  [
    'objects have errors',
    { source: { ...GOOD.source, problems: { errors: 2, warnings: 0 } } },
    'degraded',
    [/^2 errors in the manifests; see `shunt validate -f \/m`$/],
  ],
  [
    'nobody proxies',
    { proxies: [] },
    'degraded',
    [/no proxy is connected; the kernel balances 2 steered frontends/],
  ],
  ['nobody proxies and nothing is steered', { proxies: [], steeredFrontends: 0 }, 'ready', []],
  [
    'the self-test failed',
    { steering: { ...GOOD.steering, active: false, lastTest: FAILED_TEST } },
    'degraded',
    [/self-test through sk_lookup failed/],
  ],
  [
    'both mechanisms were put aside',
    {
      steeredFrontends: 0,
      steering: {
        ...GOOD.steering,
        mechanism: 'off',
        because: 'dnat failed',
        active: false,
        putAside: [{ mechanism: 'dnat', because: 'x', forMs: 1 }],
      },
    },
    'degraded',
    [/nothing is steered: dnat failed/],
  ],
  ['a kernel setting was refused', { setbacks: ['set a to 1: no'] }, 'degraded', [/set a to 1: no/]],
]

for (const [name, change, state, reasons] of ROWS)
  test(`${name}: ${state}`, (t) => {
    const status = agentStatus({ ...GOOD, ...change })
    t.is(status.state, state as never)
    t.is(status.reasons.length, reasons.length, status.reasons.join('; '))
    for (const [i, reason] of reasons.entries()) t.regex(status.reasons[i] ?? '', reason)
  })

test('the age of the sync is said, and null before the first', (t) => {
  t.is(agentStatus(GOOD).syncAgeMs, 10_000)
  t.is(agentStatus({ ...GOOD, sync: { ...GOOD.sync, lastSuccessAtMs: null } }).syncAgeMs, null)
})

test('the status is plain JSON', (t) => {
  const status = agentStatus(GOOD)
  t.deepEqual(JSON.parse(JSON.stringify(status)), status)
})

test('problems are counted by severity', (t) => {
  const problem = { code: 'OBJECT_INVALID', message: '', object: '', field: '' } as const
  const all = [
    { ...problem, severity: 'error' },
    { ...problem, severity: 'warning' },
    { ...problem, severity: 'warning' },
  ] as const
  t.deepEqual(countProblems(all), { errors: 1, warnings: 2 })
})
