// A node on which the addon does not load: agent and proxy steer by DNAT, with programs in the place of the addon.

import test from 'ava'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../conformance/objects.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'
import { shunt, startShunt } from '../support/lab/shunt.ts'
import { nodeAddresses, ROUTED } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'

const SERVICE = 9
const ENDPOINTS = ['p12', 'p22']

let lab: Lab
let node: ReturnType<typeof startShunt>

test.before(async () => {
  lab = await createLab(ROUTED)
  const manifests = join(lab.folder, 'manifests')
  mkdirSync(manifests)
  writeManifest(manifests, 'nodes', nodeObjects(ROUTED))
  const endpoints = ENDPOINTS.map((pod) => ({ pod }))
  const shape = { name: 'plain', number: SERVICE, type: 'ClusterIP', endpoints } as const
  writeManifest(manifests, 'plain', serviceObjects(shape, ROUTED))
  for (const name of ENDPOINTS) {
    const peer = await lab.peer(name)
    for (const ip of addressesOfPod(name)) await peer.listen(ip, 8080, { name })
  }
  node = startShunt(lab, 'node1', {
    command: 'run',
    flags: ['--manifests', manifests, '--datapath', 'iptables', '--steer', 'always', '--addon', 'none'],
  })
})

test.after.always(async () => {
  await node?.stop()
  if (lab !== undefined) await shunt(lab, 'node1', 'cleanup')
  await lab?.close()
})

test.serial('connections over both families go through the proxy', async (t) => {
  const client = await lab.peer('p11')
  const own = nodeAddresses(lab.node('node1'))
  const { clusterIp } = addressesOf(SERVICE)
  for (const ip of [clusterIp.IPv4, clusterIp.IPv6]) {
    await until(
      `${ip} goes through the proxy`,
      async () => {
        const [seen] = await client.connect(ip, 80, { timeoutMs: 1000 })
        return seen?.kind === 'answered' && own.includes(seen.source)
      },
      { withinMs: 20_000, explain: () => node.log().slice(-3000) },
    )
    const seen = await client.connect(ip, 80, { count: 200, concurrency: 8, timeoutMs: 5000 })
    t.deepEqual([...new Set(seen.map((one) => one.kind))], ['answered'])
    const names = seen.flatMap((one) => (one.kind === 'answered' ? [one.by] : []))
    t.deepEqual([...new Set(names)].toSorted(), ENDPOINTS)
    const viaProxy = seen.filter((one) => one.kind === 'answered' && own.includes(one.source))
    t.is(viaProxy.length, 200)
  }
})

test.serial('status says what it does without', async (t) => {
  const { stdout } = await shunt(lab, 'node1', 'status')
  t.regex(
    stdout,
    /relayed in JavaScript, DNAT alone steers, and there is no hand-over: the option addon says none/,
  )
})

test.serial('an endpoint that stops listening costs no connection', async (t) => {
  const gone = await lab.peer('p12')
  for (const ip of addressesOfPod('p12')) await gone.unlisten(ip, 8080)
  const client = await lab.peer('p11')
  const seen = await client.connect(addressesOf(SERVICE).clusterIp.IPv4, 80, {
    count: 100,
    concurrency: 8,
    timeoutMs: 5000,
  })
  t.deepEqual([...new Set(seen.map((one) => (one.kind === 'answered' ? one.by : one.kind)))], ['p22'])
})

test.serial('a proxy that is killed is out of the path within 1.5 s', async (t) => {
  const { stdout } = await shunt(lab, 'node1', 'status', '-o', 'json')
  const { proxy } = JSON.parse(stdout) as { proxy: { pid: number } }
  const client = await lab.peer('p11')
  process.kill(proxy.pid, 'SIGKILL')
  const startedMs = performance.now()
  await until(
    'the kernel or the next proxy answers',
    async () => {
      const [seen] = await client.connect(addressesOf(SERVICE).clusterIp.IPv4, 80, { timeoutMs: 300 })
      return seen?.kind === 'answered'
    },
    { withinMs: 5_000 },
  )
  const tookMs = performance.now() - startedMs
  t.log(`answered after ${Math.round(tookMs)} ms`)
  t.true(tookMs < 1_500)
})

function addressesOfPod(name: string): readonly string[] {
  const pod = ['node1', 'node2'].flatMap((each) => lab.node(each).pods).find((each) => each.name === name)
  if (pod === undefined) throw new Error(`no pod ${name}`)
  return [pod.ipv4, pod.ipv6]
}
