import test from 'ava'
import type { KernelConnection } from '#agent/cli/ports.ts'
import type { ConnectionRecord, ProxyConnections } from '#agent/proxy/admin-shapes.ts'
import { ip } from '#test/support/build.ts'
import { agentOf, clusterPlan, kernelOf } from './a-cluster.ts'
import type { FakeParts } from './fake-ports.ts'
import { golden, runCommand } from './run-command.ts'

const plan = clusterPlan()

function entry(
  client: string,
  destination: string,
  answering: string,
  more: Partial<KernelConnection> = {},
): KernelConnection {
  return {
    protocol: 'TCP',
    client: at(client),
    destination: at(destination),
    answering: at(answering),
    state: 'ESTABLISHED',
    mark: 0,
    bytes: 1200,
    timeoutSeconds: 60,
    ...more,
  }
}

function at(text: string) {
  const [address = '', port] = text.split(':')
  return { ip: ip(address), port: Number(port) }
}

const KERNEL: readonly KernelConnection[] = [
  entry('10.244.1.9:40000', '10.96.0.10:80', '10.244.1.5:8080'),
  entry('203.0.113.7:40001', '192.168.0.10:30080', '10.244.2.6:8080', { bytes: undefined }),
  entry('10.244.1.9:40002', '10.96.0.10:80', '10.244.9.9:8080'),
  entry('10.244.1.9:40003', '10.96.0.11:80', '10.96.0.11:80', { state: 'SYN_SENT' }),
  // Steered: the proxy tells of it.
  entry('10.244.1.9:40004', '10.96.0.10:80', '10.96.0.10:80', { mark: 0x532000 }),
  // No Service's: another address, another protocol, the NodePort of another machine.
  entry('10.244.1.9:40005', '10.96.0.99:80', '10.96.0.99:80'),
  entry('10.244.1.9:40006', '10.96.0.10:80', '10.96.0.10:80', { protocol: 'UDP' }),
  entry('10.244.1.9:40007', '192.168.0.99:30080', '192.168.0.99:30080'),
]

const RECORD: ConnectionRecord = {
  id: 1,
  worker: 0,
  client: '10.244.1.9:50000',
  peer: null,
  originalDestination: '10.96.0.10:80',
  clientKind: 'pod',
  service: 'default/web:http/TCP',
  frontend: '10.96.0.10|80',
  tlsRoute: null,
  serverName: null,
  endpoint: '10.244.2.6:8080',
  decidedBy: { epoch: 'e', generation: 42, why: ['client pod', 'pool cluster of 2', 'random'] },
  attempts: [
    { endpoint: '10.244.1.5:8080', result: 'ECONNREFUSED', durationMs: 1 },
    { endpoint: '10.244.2.6:8080', result: 'connected', durationMs: 1 },
  ],
  state: 'relaying',
  ended: null,
  fromClientBytes: 100,
  fromEndpointBytes: 200,
  sinceMs: 0,
  durationMs: 12_345,
  tcp: { client: null, endpoint: null },
}

const PROXY: ProxyConnections = {
  live: [RECORD],
  liveOmitted: 0,
  ended: [
    {
      ...RECORD,
      id: 0,
      client: '10.244.1.9:49999',
      peer: '192.0.2.1:7000',
      ended: 'reset-by-client',
      state: 'ended',
      tcp: {
        client: { rttUs: 120, rttVarianceUs: 9, retransmits: 0, lost: 0 },
        endpoint: { rttUs: 23_400, rttVarianceUs: 9, retransmits: 2, lost: 1 },
      },
    },
  ],
}

const parts: FakeParts = {
  agent: agentOf(plan),
  proxy: { '/connections': PROXY },
  node: { ...kernelOf(plan), connections: (family) => Promise.resolve(family === 'IPv4' ? KERNEL : []) },
}

test('kernel and proxied connections to Services, and who decided what', async (t) => {
  const { code, stdout, stderr } = await runCommand('connections', parts)
  t.is(code, 0)
  t.is(stderr, '')
  t.is(
    stdout,
    golden(`
      CLIENT             DESTINATION         SERVICE               ENDPOINT         STATE        DECIDED BY  WHY                                                                              AGE  BYTES
      10.244.1.9:40000   10.96.0.10:80       default/web:http/TCP  10.244.1.5:8080  ESTABLISHED  kernel      random                                                                             -   1200
      203.0.113.7:40001  192.168.0.10:30080  default/web:http/TCP  10.244.2.6:8080  ESTABLISHED  kernel      random                                                                             -      -
      10.244.1.9:40002   10.96.0.10:80       default/web:http/TCP  10.244.9.9:8080  ESTABLISHED  kernel      random; the endpoint has left since                                                -   1200
      10.244.1.9:40003   10.96.0.11:80       default/empty/TCP     -                SYN_SENT     kernel      not translated: opened before the rules, or without an endpoint                    -   1200
      10.244.1.9:50000   10.96.0.10:80       default/web:http/TCP  10.244.2.6:8080  relaying     proxy       client pod, pool cluster of 2, random, 10.244.1.5:8080 failed with ECONNREFUSED  12s    300
    `),
  )
})

test('an attempt that failed the same way many times is told once', async (t) => {
  const refused = { endpoint: '10.244.1.5:8080', result: 'ECONNREFUSED', durationMs: 0.1 }
  const other = { endpoint: '10.244.2.6:8080', result: 'ETIMEDOUT', durationMs: 500 }
  const live = PROXY.live.map((one) => ({ ...one, attempts: [refused, other, refused, refused] }))
  const { stdout } = await runCommand('connections', {
    ...parts,
    proxy: { '/connections': { ...PROXY, live } },
  })
  t.regex(
    stdout,
    / random, 10\.244\.1\.5:8080 failed with ECONNREFUSED 3 times, 10\.244\.2\.6:8080 failed with ETIMEDOUT +12s/,
  )
})

test('of one Service, by name or by namespace and name', async (t) => {
  for (const name of ['empty', 'default/empty']) {
    const { stdout } = await runCommand(`connections ${name} -o json`, parts)
    t.deepEqual(
      (JSON.parse(stdout) as readonly { readonly client: string }[]).map((row) => row.client),
      ['10.244.1.9:40003'],
      name,
    )
  }
  t.is((await runCommand('connections other/empty', parts)).stdout, 'no connections\n')
})

test('with those that the proxy had', async (t) => {
  const { stdout } = await runCommand('connections --ended -o json', parts)
  const rows = JSON.parse(stdout) as readonly { readonly client: string; readonly state: string }[]
  t.is(rows.at(-1)?.client, '10.244.1.9:49999')
  t.is(rows.at(-1)?.state, 'reset-by-client')
})

test('of a proxied connection that ended, how far both sides were and what was sent again', async (t) => {
  const { stdout } = await runCommand('connections --ended -o wide', parts)
  const lines = stdout.split('\n')
  t.regex(
    lines[0] ?? '',
    /ATTEMPTS +PEER +WORKER +CONNECT +CLIENT RTT +CLIENT RETRANSMITS +ENDPOINT RTT +ENDPOINT RETRANSMITS$/,
  )
  t.regex(
    lines.at(-2) ?? '',
    /10\.244\.2\.6:8080 connected +192\.0\.2\.1:7000 +0 +1\.0 ms +0\.1 ms +0 +23 ms +2$/,
  )
  t.regex(lines.find((line) => line.includes('relaying')) ?? '', /connected +- +0 +1\.0 ms +- +- +- +-$/)
  const rows = JSON.parse(
    (await runCommand('connections --ended -o json', parts)).stdout,
  ) as readonly object[]
  t.like(rows.at(-1), { worker: 0, clientRttUs: 120, endpointRttUs: 23_400, endpointRetransmits: 2 })
  t.like(rows[0], { peer: null, worker: null, connectMs: null, clientRttUs: null })
})

test('says how many connections of a busy proxy are left out', async (t) => {
  const busy = { ...parts, proxy: { '/connections': { ...PROXY, liveOmitted: 40_000 } } }
  const { stderr } = await runCommand('connections', busy)
  t.is(stderr, 'note: 40000 more connections of the proxy live; the oldest are shown\n')
})

test("without a proxy the kernel's are the whole answer", async (t) => {
  const { proxy: _, ...alone } = parts
  const { code, stdout, stderr } = await runCommand('connections -o json', alone)
  t.is(code, 0)
  t.is((JSON.parse(stdout) as readonly unknown[]).length, 4)
  t.is(stderr, 'note: the proxy does not answer; its connections are not shown\n')
})
