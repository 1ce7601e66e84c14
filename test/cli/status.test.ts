import test from 'ava'
import type { ProxyStatus } from '#agent/proxy/admin-shapes.ts'
import type { AgentStatus } from '#agent/sync/status.ts'
import { duration } from '#agent/cli/status-text.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { ip } from '#test/support/build.ts'
import { golden, runCommand } from './run-command.ts'

const NOW_MS = 10_000_000

const AGENT: AgentStatus = {
  version: '0.1.0',
  pid: 100,
  startedAtMs: NOW_MS - 3_700_000,
  node: { name: 'n1', origin: 'object', addresses: [ip('192.168.0.10')], podCidrs: [] },
  source: {
    kind: 'manifests',
    place: '/etc/shunt',
    synced: true,
    services: 1,
    slices: 2,
    problems: { errors: 0, warnings: 1 },
  },
  datapath: { name: 'iptables', detail: 'iptables 1.8.9 (nft)', families: ['IPv4', 'IPv6'], passedOver: [] },
  sync: {
    generation: 42,
    syncs: 3,
    failures: 0,
    consecutiveFailures: 0,
    lastSuccessAtMs: NOW_MS - 2_500,
    lastDurationMs: 116.4,
    lastFull: false,
    lastKernelMs: {},
    lastError: null,
    pendingSinceMs: null,
    driftRepairs: 1,
    lastDrift: null,
  },
  steering: { mechanism: 'sk_lookup', because: 'the best', active: true, lastTest: null, putAside: [] },
  proxies: [{ pid: 200, skLookup: true, ackedGeneration: 42, connectedAtMs: 0 }],
  setbacks: [],
  state: 'ready',
  reasons: [],
  syncAgeMs: 2_500,
  steeredFrontends: 2,
  steeredBy: { annotation: 1, policy: 1 },
  syncPeriodMs: 30_000,
}

const PROXY: ProxyStatus = {
  pid: 200,
  version: '0.1.0',
  state: 'serving',
  degraded: [],
  startedAtMs: NOW_MS - 65_000,
  uid: 15001,
  view: { epoch: 'e', generation: 42, source: 'agent', frontends: 2, services: 1 },
  agentConnected: true,
  skLookup: true,
  listeners: ['0.0.0.0:15001', '[::]:15001'],
  heartbeat: { beating: true, because: '', beats: 9, failures: 0, lastBeatAtMs: NOW_MS - 120 },
  connections: { open: 1, max: 1000, accepted: 7, refused: { direct: 2, overload: 0 } },
  affinityRecords: 0,
  predecessors: [],
  workers: [
    {
      number: 0,
      state: 'healthy',
      relay: 'native',
      connections: 1,
      accepted: 4,
      pipes: 1,
      counters: { spliced_bytes: 2_000_000_000, copied_bytes: 1_500, pipe_shortages: 0, port_shortages: 0 },
    },
    {
      number: 1,
      state: 'healthy',
      relay: 'native',
      connections: 0,
      accepted: 3,
      pipes: 0,
      counters: { spliced_bytes: 0, copied_bytes: 500, pipe_shortages: 3, port_shortages: 1 },
    },
  ],
}

function ask(line: string, agent: object | undefined, proxy: object | undefined) {
  return runCommand(line, {
    nowMs: NOW_MS,
    ...(agent === undefined ? {} : { agent: { '/status': agent } }),
    ...(proxy === undefined ? {} : { proxy: { '/status': proxy } }),
  })
}

test('both run and all is well', async (t) => {
  t.deepEqual(await ask('status -o wide', AGENT, PROXY), {
    code: 0,
    stdout: golden(`
      agent        ready · pid 100 · version 0.1.0 · up 1 h
      node         n1 · 192.168.0.10
      source       manifests /etc/shunt · synced · 1 Service, 2 slices · 0 errors, 1 warning
      datapath     iptables · IPv4, IPv6 · iptables 1.8.9 (nft)
      sync         generation 42 · last 2 s ago, took 116 ms · 3 syncs, 0 failed · 1 drift repair
      steering     sk_lookup · proven by a connection · 2 steered frontends (1 by annotation, 1 by policy) · 1 proxy connected
      proxy        serving · pid 200 · user 15001 · version 0.1.0 · up 1 min
      view         generation 42 from the agent · 2 frontends
      heartbeat    beats, last 120 ms ago
      connections  1 open · 7 accepted · 2 refused (direct)
      workers      2 native · 2.0 GB spliced, 2.0 kB copied · short of pipes 3 times · short of source ports 1 time
                     worker 0  healthy · 1 open · 4 accepted · 1 pipe
                     worker 1  healthy · 0 open · 3 accepted · 0 pipes
      listeners    0.0.0.0:15001, [::]:15001 · in the socket map of sk_lookup
    `),
    stderr: '',
  })
})

test('degraded with reasons still serves', async (t) => {
  const reasons = ['1 error in the manifests; see `shunt validate -f /etc/shunt`']
  const { code, stdout } = await ask('status', { ...AGENT, state: 'degraded', reasons }, PROXY)
  t.is(code, 0)
  t.true(stdout.startsWith('agent        degraded'))
  t.true(stdout.endsWith(`degraded\n               ✗ ${reasons[0] ?? ''}\n`))
})

test('a worker that is stuck is shown without being asked for, and the stream engine says why it is used', async (t) => {
  const [first, second] = PROXY.workers
  const stalled = { ...PROXY, workers: [first, { ...second, state: 'stalled', connections: 12 }] }
  t.regex(
    (await ask('status', AGENT, stalled)).stdout,
    /^workers +2 native · .*\n +worker 1 {2}stalled · 12 open · 3 accepted · 0 pipes$/m,
  )
  const why = 'connections are relayed in JavaScript, because the native engine does not start: EPERM'
  const stream = { ...PROXY, degraded: [why], workers: [{ ...first, relay: 'stream', pipes: 0 }] }
  const { stdout } = await ask('status', AGENT, stream)
  t.regex(stdout, /^workers +1 stream · 1.5 kB copied$/m)
  t.true(stdout.includes(`✗ ${why}`))
})

test('a proxy that stops, and those that handed over to this one', async (t) => {
  const predecessors = [
    { pid: 150, connections: 1, sinceMs: NOW_MS - 60_000, untilMs: NOW_MS + 540_000 },
    { pid: 160, connections: null, sinceMs: null, untilMs: null },
  ]
  const { stdout } = await ask('status', AGENT, { ...PROXY, state: 'draining', predecessors })
  t.regex(stdout, /^proxy +draining · pid 200/m)
  t.regex(
    stdout,
    /^predecessor +pid 150 · draining · 1 connection left · reset in 9 min\n +pid 160 · draining$/m,
  )
})

test('nobody runs: exit code 3, and it is an answer', async (t) => {
  t.deepEqual(await ask('status', undefined, undefined), {
    code: 3,
    stdout: 'agent  absent: the agent does not answer\nproxy  absent: the proxy does not answer\n',
    stderr: '',
  })
})

test('the run folder comes from the flag or from the environment', async (t) => {
  const runDir = async (line: string, environment: Readonly<Record<string, string>>): Promise<unknown> =>
    (JSON.parse((await runCommand(`${line} -o json`, { environment })).stdout) as { runDir: unknown }).runDir
  t.is(await runDir('status', {}), '/run/shunt')
  t.is(await runDir('status', { SHUNT_RUN_DIR: '/lab/a' }), '/lab/a')
  t.is(await runDir('status --run-dir /lab/b', { SHUNT_RUN_DIR: '/lab/a' }), '/lab/b')
})

test('an agent that starts is not ready', async (t) => {
  const starting = { ...AGENT, state: 'starting', reasons: ['the first sync is under way'] }
  t.is((await ask('status', starting, PROXY)).code, 3)
  t.is((await ask('status', new ShuntError('NOT_READY', 'soon'), PROXY)).code, 3)
})

test('without a proxy the node is ready only if nothing is steered', async (t) => {
  const steered = await ask('status', AGENT, undefined)
  t.is(steered.code, 3)
  t.regex(steered.stdout, /^proxy +absent: the proxy does not answer$/m)
  const idle = await ask('status', { ...AGENT, steeredFrontends: 0 }, undefined)
  t.is(idle.code, 0)
  t.regex(idle.stdout, /^proxy +absent · nothing is steered$/m)
})

test('the JSON has both answers whole', async (t) => {
  const { stdout } = await ask('status -o json', AGENT, PROXY)
  t.deepEqual(JSON.parse(stdout), { ready: true, runDir: '/run/shunt', agent: AGENT, proxy: PROXY })
  const absent = JSON.parse((await ask('status -o json', undefined, undefined)).stdout) as object
  t.like(absent, { ready: false, agent: { state: 'absent' }, proxy: { state: 'absent' } })
})

test('a view from disk is current while the agent is connected', async (t) => {
  const view = { epoch: 'e', generation: 42, source: 'disk', frontends: 2, services: 1 }
  for (const [agentConnected, says] of [
    [true, /^view +generation 42 from disk, none newer from the agent · 2 frontends$/m],
    [false, /^view +generation 42 from disk · 2 frontends$/m],
  ] as const)
    t.regex((await ask('status', AGENT, { ...PROXY, view, agentConnected })).stdout, says)
})

test('a mechanism that was put aside says why', async (t) => {
  const steering = {
    ...AGENT.steering,
    mechanism: 'dnat',
    active: false,
    putAside: [{ mechanism: 'sk_lookup', because: 'IPv4: timeout', forMs: 30_000 }],
  }
  const { stdout } = await ask('status', { ...AGENT, steering }, PROXY)
  t.regex(stdout, /steering +dnat · not proven · .*\n +sk_lookup {2}put aside for 30 s: IPv4: timeout\n/)
})

test('durations are short', (t) => {
  t.deepEqual([0, 999, 1_000, 59_999, 60_000, 3_600_000, 90_000_000].map(duration), [
    '0 ms',
    '999 ms',
    '1 s',
    '59 s',
    '1 min',
    '1 h',
    '1 d',
  ])
})
