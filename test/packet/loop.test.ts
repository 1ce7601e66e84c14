// What must not go round in circles or hang for ever: connections straight to the proxy's port, marks that others set,
// Services that lead back to themselves, clients that never send, endpoints that never answer. Each is bounded in time,
// logged once and counted.

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
import { nodeAddress } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'

const GOOD = 80
const SELF = 81
const NODE_LOOP = 82
const HALF_DEAD = 83
const DEAD = 84
const PROXY_PORT = 15_001
const IPTABLES = '/usr/sbin/iptables-nft'
const STEERED_MARK = '0x532000/0xff3000'

let lab: Lab
let pair: Pair

test.before(async () => {
  lab = await createLab()
  await listenEverywhere(lab)
  const folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  writeManifest(folder, 'good', service('good', GOOD, ['p11']))
  writeManifest(folder, 'self', leadingTo('self', SELF, addressesOf(SELF).clusterIp.IPv4, 80))
  writeManifest(
    folder,
    'nodeloop',
    leadingTo('nodeloop', NODE_LOOP, '192.168.100.1', addressesOf(NODE_LOOP).nodePort),
  )
  writeManifest(folder, 'halfdead', service('halfdead', HALF_DEAD, ['p11', 'p12'], 8090))
  writeManifest(folder, 'dead', service('dead', DEAD, ['p12'], 8090))
  // p12 swallows everything for 8090: it does not even refuse.
  await lab.exec('p12', [IPTABLES, '-A', 'INPUT', '-p', 'tcp', '--dport', '8090', '-j', 'DROP'])
  await (await lab.peer('p11')).listen('10.244.1.11', 8090, { name: 'p11:8090' })
  const flags = ['--manifests', folder, '--cluster-cidr', '10.244.0.0/16,fd00:244::/32', '--steer', 'always']
  pair = startPair(lab, 'node1', flags)
  await untilWay(lab, {
    from: 'p13',
    to: addressesOf(GOOD).clusterIp.IPv4,
    port: 80,
    node: 'node1',
    way: 'proxy',
    logs: pair.logs,
    alive: () => pair.agent.running(),
  })
})

test.after.always(async () => {
  await pair?.stop()
  await lab?.close()
})

test.afterEach(async (t) => {
  const peer = await lab.peer('p13')
  const [seen] = await peer.connect(addressesOf(GOOD).clusterIp.IPv4, 80)
  t.is(seen?.kind, 'answered', 'afterwards the proxy still serves')
  t.true(pair.proxy.running())
})

test.serial('a connection straight to the port of the proxy is refused, from everywhere', async (t) => {
  const node = lab.node('node1')
  // A neighbour that IPv6 asks for and does not hear is asked again after a second.
  const timeoutMs = 4000
  for (const place of ['p13', 'p22', 'client', 'node1', 'node2']) {
    const peer = await lab.peer(place)
    for (const family of ['IPv4', 'IPv6'] as const) {
      const seen = await peer.connect(nodeAddress(node, family), PROXY_PORT, { count: 20, timeoutMs })
      t.deepEqual([...new Set(seen.map((one) => one.kind))], ['refused'], `${place} over ${family}`)
    }
  }
  const [loopback] = await (await lab.peer('node1')).connect('127.0.0.1', PROXY_PORT, { timeoutMs: 1000 })
  t.is(loopback?.kind, 'refused', 'node1 to 127.0.0.1')
  const rules = await lab.exec('node1', [`${IPTABLES}-save`, '-c', '-t', 'filter'])
  const counted = rules.stdout
    .split('\n')
    .filter((line) => line.includes('-j REJECT') && line.includes('tcp-reset'))
    .reduce((sum, line) => sum + Number(/^\[([0-9]+):/.exec(line)?.[1] ?? 0), 0)
  t.true(counted >= 80, `the rules that refuse counted ${counted} packets`)
})

test.serial('a mark that a pod sets does not reach the node', async (t) => {
  const mark = ['-t', 'mangle', '-A', 'OUTPUT', '-j', 'MARK', '--set-xmark', STEERED_MARK]
  await lab.exec('p13', [IPTABLES, ...mark])
  const peer = await lab.peer('p13')
  const direct = await peer.connect('10.244.1.11', 8080, { count: 3 })
  t.true(direct.every((one) => one.kind === 'answered' && one.source === '10.244.1.13'))
  const port = await peer.connect('192.168.100.1', PROXY_PORT, { count: 3 })
  t.deepEqual(
    port.map((one) => one.kind),
    ['refused', 'refused', 'refused'],
  )
  await lab.exec('p13', [IPTABLES, '-t', 'mangle', '-F'])
})

for (const [who, mark] of [
  ['the steered mark', '0x532000/0xff3000'],
  ['the steered mark of the node', '0x533000/0xff3000'],
] as const) {
  test.serial(`${who}, set by a process of the node, gets nobody into the proxy`, async (t) => {
    const rule = [
      '-t',
      'mangle',
      '-I',
      'OUTPUT',
      '-p',
      'tcp',
      '--dport',
      '8080',
      '-j',
      'MARK',
      '--set-xmark',
      mark,
    ]
    const straight = [
      '-t',
      'mangle',
      '-I',
      'OUTPUT',
      '-p',
      'tcp',
      '--dport',
      '15001',
      '-j',
      'MARK',
      '--set-xmark',
      mark,
    ]
    await lab.exec('node1', [IPTABLES, ...rule])
    await lab.exec('node1', [IPTABLES, ...straight])
    const before = await connectionsOf(pair)
    const peer = await lab.peer('node1')
    const toPod = await peer.connect('10.244.1.11', 8080, { count: 10, timeoutMs: 1500 })
    const toProxy = await peer.connect('192.168.100.1', PROXY_PORT, { count: 10, timeoutMs: 1500 })
    for (const one of toPod)
      t.true(one.kind === 'refused' || one.kind === 'answered', `to a Pod: ${one.kind}`)
    for (const one of toProxy)
      t.true(one.kind === 'refused' || one.kind === 'broken', `to the proxy: ${one.kind}`)
    await lab.exec('node1', [IPTABLES, '-t', 'mangle', '-D', ...rule.slice(3)])
    await lab.exec('node1', [IPTABLES, '-t', 'mangle', '-D', ...straight.slice(3)])
    const after = await connectionsOf(pair)
    t.true(after - before <= 20, `20 connections made ${after - before} at the proxy`)
  })
}

test.serial('the mark of the proxy’s own connections only keeps the kernel from steering', async (t) => {
  const rule = ['-p', 'tcp', '-d', '10.96.0.80', '-j', 'MARK', '--set-xmark', '0x531000/0xff3000']
  await lab.exec('node1', [IPTABLES, '-t', 'mangle', '-I', 'OUTPUT', ...rule])
  const before = await connectionsOf(pair)
  const seen = await (await lab.peer('node1')).connect(addressesOf(GOOD).clusterIp.IPv4, 80, { count: 10 })
  t.true(seen.every((one) => one.kind === 'answered' && one.by === 'p11'))
  t.is(await connectionsOf(pair), before, 'the proxy saw none of them')
  await lab.exec('node1', [IPTABLES, '-t', 'mangle', '-D', 'OUTPUT', ...rule])
})

for (const [what, number] of [
  ['its own ClusterIP', SELF],
  ['its own NodePort', NODE_LOOP],
] as const) {
  test.serial(`a Service whose endpoint is ${what} ends at once and starts nothing`, async (t) => {
    const before = await connectionsOf(pair)
    const startedMs = performance.now()
    const peer = await lab.peer('p13')
    const seen = await peer.connect(addressesOf(number).clusterIp.IPv4, 80, { count: 50, timeoutMs: 12_000 })
    const tookMs = performance.now() - startedMs
    for (const one of seen) t.true(['refused', 'broken'].includes(one.kind), `${one.kind} after ${one.ms} ms`)
    t.true(tookMs < 11_000, `took ${tookMs.toFixed(0)} ms`)
    const made = (await connectionsOf(pair)) - before
    t.true(made <= 50, `50 connections made ${made} at the proxy`)
    t.true(linesWith(pair, /connection (refused|failed)/) >= 1, 'it is logged')
    t.true(linesWith(pair, /connection (refused|failed)/) < 30, 'but not for every connection')
  })
}

test.serial('clients that never send hold nothing but themselves', async (t) => {
  const peer = await lab.peer('p13')
  const { IPv4 } = addressesOf(GOOD).clusterIp
  const before = await activeOf(pair)
  const held = await Promise.all(Array.from({ length: 100 }, () => peer.hold(IPv4, 80, { silent: true })))
  await until('the proxy shows them', async () => (await activeOf(pair)) >= before + 100, {
    explain: pair.logs,
  })
  const [other] = await peer.connect(IPv4, 80)
  t.is(other?.kind, 'answered', 'others are served meanwhile')
  const listed = await shunt(lab, 'node1', 'connections', '-o', 'json')
  t.is(listed.code, 0)
  t.true(listed.stdout.includes(IPv4), 'and they are listed')
  await Promise.all(held.map((one) => one.drop()))
  await until('they are gone', async () => (await activeOf(pair)) <= before, { explain: pair.logs })
  t.pass()
})

test.serial('an endpoint that never answers costs a try, not the connection', async (t) => {
  const peer = await lab.peer('p13')
  const seen = await peer.connect(addressesOf(HALF_DEAD).clusterIp.IPv4, 80, {
    count: 40,
    concurrency: 40,
    timeoutMs: 12_000,
  })
  t.deepEqual([...new Set(seen.map((one) => one.kind))], ['answered'])
  const slow = seen.filter((one) => one.ms > 1000)
  t.true(slow.length > 0, 'some were given to the dead endpoint first')
  t.true(slow.every((one) => one.ms < 6000))
  t.true((await timeoutsOf('halfdead')) > 0, 'counted')
})

test.serial('a Service whose only endpoint never answers ends in bounded time', async (t) => {
  const peer = await lab.peer('p13')
  const seen = await peer.connect(addressesOf(DEAD).clusterIp.IPv4, 80, {
    count: 20,
    concurrency: 20,
    timeoutMs: 15_000,
  })
  for (const one of seen) t.true(one.kind === 'broken' && one.ms < 12_000, `${one.kind} after ${one.ms} ms`)
  t.true(linesWith(pair, /connection failed/) >= 1, 'logged')
  t.true((await timeoutsOf('dead')) >= 20, 'counted')
})

function service(
  name: string,
  number: number,
  pods: readonly string[],
  endpointPort = 8080,
): readonly KubernetesObject[] {
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80, endpointPort }]
  const shape = { name, number, endpoints: pods.map((pod) => ({ pod })), ports, families: ['IPv4'] as const }
  return serviceObjects(shape, lab.topology)
}

/** A Service whose only endpoint is an address of a Service. */
function leadingTo(name: string, number: number, address: string, port: number): readonly KubernetesObject[] {
  const [object] = service(name, number, [])
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-x`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port }],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  }
  return object === undefined ? [slice] : [object, slice]
}

async function metricsOf(of: Pair): Promise<string> {
  const ran = await lab.exec(of.node, [
    '/usr/bin/curl',
    '-s',
    '--max-time',
    '5',
    'http://127.0.0.1:15020/metrics',
  ])
  return ran.stdout
}

/** Connections that the proxy accepted, served or refused, since it started. */
async function connectionsOf(of: Pair): Promise<number> {
  const metrics = await metricsOf(of)
  return (
    metricSum(metrics, /^shunt_proxy_connections_total/) + metricSum(metrics, /^shunt_proxy_refused_total/)
  )
}

async function activeOf(of: Pair): Promise<number> {
  return metricSum(await metricsOf(of), /^shunt_proxy_connections_active/)
}

/** Attempts of the proxy at a Service's endpoints that ended without an answer. */
async function timeoutsOf(name: string): Promise<number> {
  const lines = (await metricsOf(pair))
    .split('\n')
    .filter((line) => line.includes(`"default/${name}:http/TCP"`))
  return metricSum(lines.join('\n'), /^shunt_proxy_connect_attempts_total.*result="ETIMEDOUT"/)
}

function metricSum(metrics: string, name: RegExp): number {
  return metrics
    .split('\n')
    .filter((line) => !line.startsWith('#') && name.test(line))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

function linesWith(of: Pair, text: RegExp): number {
  return of.proxy
    .log()
    .split('\n')
    .filter((line) => text.test(line)).length
}
