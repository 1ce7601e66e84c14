// A TrafficPolicy in the folder is what the proxy does, while it is there: written, changed, spoilt, taken away. The real
// agent and the real proxy on a node; the test looks at who answers.

import { rmSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import {
  addressesOf,
  nodeObjects,
  serviceObjects,
  writeManifest,
  type Json,
  type KubernetesObject,
} from '../conformance/objects.ts'
import { listenEverywhere } from '../conformance/stage.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'
import { startPair, untilWay, type Pair } from '../support/lab/pair.ts'
import { shunt } from '../support/lab/shunt.ts'
import { until } from '../support/lab/wait.ts'

const NODE = 'node1'
const TO = addressesOf(90).clusterIp.IPv4

let lab: Lab
let pair: Pair
let folder: string

test.before(async () => {
  lab = await createLab()
  await listenEverywhere(lab)
  folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  const endpoints = ['p11', 'p21'].map((pod) => ({ pod }))
  writeManifest(folder, 'web', serviceObjects({ name: 'web', number: 90, endpoints }, lab.topology))
  pair = startPair(lab, NODE, ['--manifests', folder, '--cluster-cidr', '10.244.0.0/16,fd00:244::/32'])
  await way('kernel')
})

test.after.always(async () => {
  await pair?.stop()
  await lab?.close()
})

test.serial('a policy steers its Service, and weights say who answers', async (t) => {
  emptied('node2')
  await way('proxy')
  await answeredBy('p11')
  const { stdout } = await shunt(lab, NODE, 'services', 'default/web')
  t.regex(stdout, /http 80\/TCP .* yes \(policy default\/p\)/)
})

test.serial('a change holds for the connections that come soon after', async (t) => {
  emptied('node1')
  const tookMs = await answeredBy('p21')
  t.log({ tookMs })
  t.true(tookMs < 3_000)
})

test.serial('a policy that became bad holds as it was, and status says so', async (t) => {
  emptied('node2', { limits: { maxConnections: 'two' } })
  await until(
    'status counts the error',
    async () => (await shunt(lab, NODE, 'status')).stdout.includes('1 error'),
    {
      explain: pair.logs,
    },
  )
  t.deepEqual([...(await answers(20))], ['p21'])
  const { stdout } = await shunt(lab, NODE, 'validate', '-f', folder)
  t.regex(
    stdout,
    /TrafficPolicy default\/p: spec\.limits\.maxConnections: expected a whole number .*found "two"/,
  )
})

test.serial('no more connections than the limit, and again as soon as one ends', async (t) => {
  emptied('node1', { limits: { maxConnections: 2 } })
  await until(
    'the policy is read',
    async () => !(await shunt(lab, NODE, 'status')).stdout.includes('1 error'),
  )
  const client = await lab.peer('p13')
  await until('the limit is in force', async () => {
    const held = [await client.hold(TO, 80), await client.hold(TO, 80)]
    const [third] = await client.connect(TO, 80, { timeoutMs: 2_000 })
    await Promise.all(held.map((one) => one.drop()))
    return third?.kind === 'broken'
  })
  await until('there is room again', async () => (await answers(1)).has('p21'))
  t.pass()
})

test.serial('without the policy the kernel balances over all', async (t) => {
  rmSync(join(folder, 'policy.yaml'))
  await way('kernel')
  t.deepEqual([...(await answers(40))].sort(), ['p11', 'p21'])
})

/** Endpoints of the node get nothing while there are others. */
function emptied(node: string, spec: { readonly [key: string]: Json } = {}): void {
  const policy: KubernetesObject = {
    apiVersion: 'shunt.dev/v1alpha1',
    kind: 'TrafficPolicy',
    metadata: { name: 'p' },
    spec: {
      targetRefs: [{ kind: 'Service', name: 'web', sectionName: 'http' }],
      loadBalancer: { type: 'RoundRobin', weights: [{ node, weight: 0 }] },
      ...spec,
    },
  }
  writeManifest(folder, 'policy', [policy])
}

async function answers(count: number): Promise<ReadonlySet<string>> {
  const client = await lab.peer('p13')
  const seen = await client.connect(TO, 80, { count, timeoutMs: 2_000 })
  return new Set(seen.map((one) => (one.kind === 'answered' ? one.by : one.kind)))
}

function answeredBy(name: string): Promise<number> {
  const ask = async (): Promise<boolean> => {
    const seen = await answers(8)
    return seen.size === 1 && seen.has(name)
  }
  return until(`${name} alone answers`, ask, { explain: pair.logs })
}

function way(wanted: 'kernel' | 'proxy'): Promise<number> {
  return untilWay(lab, {
    from: 'p13',
    to: TO,
    port: 80,
    node: NODE,
    way: wanted,
    logs: pair.logs,
    alive: () => pair.agent.running(),
  })
}
