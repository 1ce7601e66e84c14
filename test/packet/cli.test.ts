// The debugging commands on a real node: what `shunt trace` says is what connections do, before and after steering, with
// the proxy dead, with rules that somebody changed; and cleanup leaves nothing.

import { join } from 'node:path'

import test from 'ava'

import {
  addressesOf,
  nodeObjects,
  serviceObjects,
  writeManifest,
  type KubernetesObject,
} from '../conformance/objects.ts'
import { listenEverywhere } from '../conformance/stage.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'
import { startPair, untilWay, type Pair } from '../support/lab/pair.ts'
import { shunt } from '../support/lab/shunt.ts'
import { until } from '../support/lab/wait.ts'

const PLAIN = 70
const STEERED = 71
const EMPTY = 72
const FLAKY = 73
const NODE = 'node1'

let lab: Lab
let pair: Pair

test.before(async () => {
  lab = await createLab()
  await listenEverywhere(lab)
  const folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  writeManifest(folder, 'plain', service('plain', PLAIN, ['p11', 'p21'], {}))
  writeManifest(
    folder,
    'steered',
    service('steered', STEERED, ['p11', 'p12'], { 'shunt.dev/steer': 'always' }),
  )
  writeManifest(folder, 'empty', service('empty', EMPTY, [], {}))
  writeManifest(folder, 'flaky', flaky())
  await (await lab.peer('p11')).listen('10.244.1.11', 8091, { name: 'p11' })
  await lab.exec(NODE, ['/usr/sbin/sysctl', '-qw', 'net.netfilter.nf_conntrack_acct=1'])
  pair = startPair(
    lab,
    NODE,
    [],
    ['--manifests', folder, '--cluster-cidr', '10.244.0.0/16,fd00:244::/32', '--sync-period', '10s'],
  )
  await untilWay(lab, {
    from: 'p13',
    to: addressesOf(STEERED).clusterIp.IPv4,
    port: 80,
    node: NODE,
    way: 'proxy',
    logs: pair.logs,
    alive: () => pair.agent.running(),
  })
})

test.after.always(async () => {
  await pair?.stop()
  await lab?.close()
})

test.serial('shunt status: ready, and steering is proven soon', async (t) => {
  const ready = async (): Promise<boolean> => {
    const { code, stdout } = await shunt(lab, NODE, 'status')
    return code === 0 && /^agent +ready/.test(stdout) && stdout.includes('sk_lookup · proven by a connection')
  }
  await until('the self-test has come through', ready, { withinMs: 15_000, explain: pair.logs })
  t.pass()
})

interface Traced {
  readonly agrees: boolean
  readonly differences: readonly string[]
  readonly actual: {
    readonly taker: { readonly kind: string }
    readonly fates: readonly { readonly end: string; readonly destination: { readonly ip: string } }[]
  }
}

async function traced(...args: readonly string[]): Promise<Traced & { readonly code: number | null }> {
  const { code, stdout, stderr } = await shunt(lab, NODE, 'trace', ...args, '-o', 'json')
  if (stdout === '') throw new Error(stderr)
  return { code, ...(JSON.parse(stdout) as Traced) }
}

const PODS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  IPv4: { p11: '10.244.1.11', p21: '10.244.2.11', p13: '10.244.1.13' },
  IPv6: { p11: 'fd00:244:1::11', p21: 'fd00:244:2::11', p13: 'fd00:244:1::13' },
}

for (const family of ['IPv4', 'IPv6'] as const)
  test.serial(`${family}: where trace says that connections go, they go`, async (t) => {
    const { clusterIp, externalIp } = addressesOf(PLAIN)
    const pods = PODS[family] ?? {}
    for (const to of [clusterIp[family], externalIp[family]]) {
      const { agrees, differences, actual } = await traced(
        pods['p13'] ?? '',
        family === 'IPv4' ? `${to}:80` : `[${to}]:80`,
      )
      t.true(agrees, differences.join('; '))
      t.is(actual.taker.kind, 'kernel')
      t.deepEqual(
        actual.fates.map((fate) => fate.destination.ip),
        [pods['p11'], pods['p21']],
      )
      const seen = await (await lab.peer('p13')).connect(to, 80, { count: 30 })
      const names = new Set(seen.map((one) => (one.kind === 'answered' ? one.by : one.kind)))
      t.is(names.size, 2, [...names].join(', '))
    }
  })

test.serial('a Service without endpoints is rejected, as trace says', async (t) => {
  const to = addressesOf(EMPTY).clusterIp.IPv4
  const { agrees, actual } = await traced('10.244.1.13', `${to}:80`)
  t.true(agrees)
  t.deepEqual(
    actual.fates.map((fate) => fate.end),
    ['rejected'],
  )
  const [seen] = await (await lab.peer('p13')).connect(to, 80)
  t.is(seen?.kind, 'refused')
})

test.serial('a steered Service: trace names the proxy, connections shows who decided what', async (t) => {
  const to = addressesOf(STEERED).clusterIp.IPv4
  const { agrees, differences, actual } = await traced('10.244.1.13', `${to}:80`)
  t.true(agrees, differences.join('; '))
  t.is(actual.taker.kind, 'proxy')
  const client = await lab.peer('p13')
  const held = [await client.hold(to, 80), await client.hold(addressesOf(PLAIN).clusterIp.IPv4, 80)]
  const { stdout } = await shunt(lab, NODE, 'connections', '-o', 'json')
  const rows = JSON.parse(stdout) as readonly {
    readonly service: string
    readonly decidedBy: string
    readonly endpoint: string
    readonly bytes: number | null
  }[]
  const find = (name: string) => rows.find((row) => row.service === `default/${name}:http/TCP`)
  t.is(find('steered')?.decidedBy, 'proxy')
  t.is(find('plain')?.decidedBy, 'kernel')
  t.regex(find('plain')?.endpoint ?? '', /^10\.244\.[12]\.11:8080$/)
  t.true((find('plain')?.bytes ?? 0) > 0, 'conntrack counts bytes')
  await Promise.all(held.map((one) => one.drop()))
})

test.serial('an endpoint that refuses is ejected, and endpoints and connections show it', async (t) => {
  const to = addressesOf(FLAKY).clusterIp.IPv4
  // One after the other: some are decided after the ejection.
  const seen = await (await lab.peer('p13')).connect(to, 80, { count: 30, concurrency: 1 })
  t.true(seen.every((one) => one.kind === 'answered' && one.by === 'p11'))
  const { stdout } = await shunt(lab, NODE, 'endpoints', 'flaky', '-o', 'json')
  const rows = JSON.parse(stdout) as readonly {
    readonly endpoint: string
    readonly ejectedForMs: number | null
  }[]
  const ejected = (endpoint: string) => rows.find((row) => row.endpoint === endpoint)?.ejectedForMs
  t.true((ejected('10.244.1.12:8091') ?? 0) > 60_000, stdout)
  t.is(ejected('10.244.1.11:8091'), null)
  t.regex(
    (await shunt(lab, NODE, 'endpoints', 'flaky')).stdout,
    /10\.244\.1\.12:8091 +ready, ejected for 1 min/,
  )
  const ended = (await shunt(lab, NODE, 'connections', 'flaky', '--ended')).stdout
  t.regex(ended, /closed .*10\.244\.1\.12:8091 failed with ECONNREFUSED/)
  t.regex(ended, /closed .*, 1 ejected, Random/)
  t.regex((await shunt(lab, NODE, 'status')).stdout, /^workers +\d+ native · .* spliced, .* copied$/m)
})

test.serial('a rule that somebody changed is a difference, with the text that repairs it', async (t) => {
  const to = addressesOf(PLAIN).clusterIp.IPv4
  const saved = await lab.exec(NODE, ['/usr/sbin/iptables-nft-save', '-t', 'nat'])
  const rule = saved.stdout
    .split('\n')
    .find((line) => line.includes('default/plain:http ->') && line.includes('probability'))
  const [, chain = ''] = rule?.split(' ') ?? []
  const tamper = [
    '-t',
    'nat',
    '-I',
    chain,
    '-m',
    'statistic',
    '--mode',
    'random',
    '--probability',
    '0.1',
    '-j',
    'RETURN',
  ]
  const look = async () => {
    await lab.exec(NODE, ['/usr/sbin/iptables-nft', ...tamper])
    return { trace: await traced('10.244.1.13', `${to}:80`), diff: await shunt(lab, NODE, 'diff') }
  }
  let seen = await look()
  // The agent compares every few seconds: it may have repaired the rule before we looked.
  for (let tries = 1; tries < 5 && (seen.trace.code !== 1 || seen.diff.code !== 1); tries++)
    seen = await look()
  t.is(seen.trace.code, 1)
  t.true(seen.trace.differences.length > 0)
  t.is(seen.diff.code, 1)
  t.true(seen.diff.stdout.includes(`:${chain} - [0:0]`), seen.diff.stdout)
  await until('the agent has repaired it', async () => (await shunt(lab, NODE, 'diff')).code === 0, {
    withinMs: 45_000,
    explain: pair.logs,
  })
  t.is((await traced('10.244.1.13', `${to}:80`)).code, 0)
})

test.serial('with the proxy dead trace names the kernel, and so it is', async (t) => {
  const to = addressesOf(STEERED).clusterIp.IPv4
  await pair.proxy.kill()
  await untilWay(lab, { from: 'p13', to, port: 80, node: NODE, way: 'kernel', logs: pair.logs })
  const { agrees, differences, actual } = await traced('10.244.1.13', `${to}:80`)
  t.true(agrees, differences.join('; '))
  t.is(actual.taker.kind, 'kernel')
  const status = await shunt(lab, NODE, 'status')
  t.is(status.code, 3)
  t.regex(status.stdout, /no proxy is connected/)
})

test.serial('check finds nothing bad on a node that works', async (t) => {
  const { code, stdout } = await shunt(lab, NODE, 'check')
  t.is(code, 0, stdout)
  t.regex(stdout, /^ok +datapath iptables/m)
  t.regex(stdout, /^ok +packet marks/m)
})

test.serial('check names a rule of somebody else that writes our bits', async (t) => {
  await lab.exec(NODE, [
    '/usr/sbin/iptables-nft',
    '-t',
    'mangle',
    '-A',
    'FORWARD',
    '-j',
    'MARK',
    '--set-mark',
    '7',
  ])
  const { stdout } = await shunt(lab, NODE, 'check')
  t.regex(stdout, /^warn +packet marks +iptables-nft-save: `-A FORWARD .*` writes our bits 0xff7000$/m)
  await lab.exec(NODE, ['/usr/sbin/iptables-nft', '-t', 'mangle', '-F', 'FORWARD'])
})

test.serial('cleanup refuses beside a running agent, and leaves nothing after it', async (t) => {
  const refused = await shunt(lab, NODE, 'cleanup')
  t.is(refused.code, 1)
  t.regex(refused.stderr, /\(ALREADY_RUNNING\)\nhint: stop it first/)
  await pair.stop()
  const done = await shunt(lab, NODE, 'cleanup')
  t.is(done.code, 0, done.stderr)
  for (const program of ['iptables-nft-save', 'ip6tables-nft-save']) {
    const { stdout } = await lab.exec(NODE, [`/usr/sbin/${program}`])
    t.false(/KUBE-|SHUNT-/.test(stdout), stdout)
  }
  t.is((await lab.exec(NODE, ['/usr/sbin/ipset', 'list', '-n'])).stdout, '')
  for (const family of ['-4', '-6'])
    t.false((await lab.exec(NODE, ['/usr/sbin/ip', family, 'rule'])).stdout.includes('5390'))
  t.is((await shunt(lab, NODE, 'cleanup')).stdout, 'nothing to remove\n')
  t.is((await shunt(lab, NODE, 'status')).code, 3)
})

test.serial('cleanup --all takes what the other modes of kube-proxy left, and nothing else', async (t) => {
  await lab.exec(NODE, ['/usr/sbin/nft', 'add', 'table', 'ip', 'kube-proxy'])
  await lab.exec(NODE, ['/usr/sbin/nft', 'add', 'table', 'ip', 'somebody'])
  await lab.exec(NODE, ['/usr/sbin/ipset', 'create', 'KUBE-CLUSTER-IP', 'hash:ip'])
  await lab.exec(NODE, ['/usr/sbin/ipset', 'create', 'SOMEBODY', 'hash:ip'])
  t.is((await shunt(lab, NODE, 'cleanup')).stdout, 'nothing to remove\n')
  const { code, stdout, stderr } = await shunt(lab, NODE, 'cleanup', '--all')
  t.is(code, 0, stderr)
  t.is(stdout, 'removed nftables table ip kube-proxy\nremoved ipset KUBE-CLUSTER-IP\n')
  t.regex((await lab.exec(NODE, ['/usr/sbin/nft', 'list', 'tables'])).stdout, /^table ip somebody$/m)
  t.is((await lab.exec(NODE, ['/usr/sbin/ipset', 'list', '-n'])).stdout, 'SOMEBODY\n')
})

/** One of two endpoints has nobody who listens. */
function flaky(): readonly KubernetesObject[] {
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80, endpointPort: 8091 }]
  const endpoints = [{ pod: 'p11' }, { pod: 'p12' }]
  return [
    ...serviceObjects({ name: 'flaky', number: FLAKY, endpoints, ports, families: ['IPv4'] }, lab.topology),
    {
      apiVersion: 'shunt.dev/v1alpha1',
      kind: 'TrafficPolicy',
      metadata: { name: 'flaky', namespace: 'default' },
      spec: {
        targetRefs: [{ kind: 'Service', name: 'flaky' }],
        outlierDetection: { consecutiveFailures: 3, baseEjectionTime: '90s', panicThresholdPercent: 0 },
      },
    },
  ]
}

function service(
  name: string,
  number: number,
  pods: readonly string[],
  annotations: Readonly<Record<string, string>>,
): readonly KubernetesObject[] {
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80, endpointPort: 8080 }]
  return serviceObjects(
    { name, number, endpoints: pods.map((pod) => ({ pod })), ports, annotations, externalIps: true },
    lab.topology,
  )
}
