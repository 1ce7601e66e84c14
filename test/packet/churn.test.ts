// 10,000 connections while endpoints change 200 times and steering flips 20 times. Every endpoint keeps listening, as a
// terminating Pod does, so nothing may fail; and none is used long after it left.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../conformance/objects.ts'
import { listenEverywhere } from '../conformance/stage.ts'
import { createLab } from '../support/lab/lab.ts'
import { startPair, untilWay } from '../support/lab/pair.ts'
import type { Timed } from '../support/lab/peer-messages.ts'
import { nodeAddress, nodeAddresses } from '../support/lab/topology.ts'

const CHANGES = 200
const FLIPS = 20
const CONNECTIONS = 10_000
const CHANGE_EVERY_MS = 110
/** How long after it left the set an endpoint may still be given to new connections. */
const STALE_MS = 2000
const ALL = ['p11', 'p12', 'p21']
const NUMBER = 70

test('10,000 connections, 200 endpoint changes, 20 flips of steering: none fails, none goes astray', async (t) => {
  t.timeout(180_000)
  const lab = await createLab()
  t.teardown(() => lab.close())
  await listenEverywhere(lab)
  const folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  const write = (pods: readonly string[], steered: boolean): void => {
    const shape = {
      name: 'churn',
      number: NUMBER,
      endpoints: pods.map((pod) => ({ pod })),
      annotations: { 'shunt.dev/steer': steered ? 'always' : 'never' },
    }
    const [service, ...slices] = serviceObjects(shape, lab.topology)
    writeManifest(folder, 'slices', slices)
    if (service !== undefined) writeManifest(folder, 'service', [service])
  }
  write(ALL, false)
  const flags = [
    '--manifests',
    folder,
    '--cluster-cidr',
    '10.244.0.0/16,fd00:244::/32',
    '--min-sync-period',
    '20ms',
  ]
  const pair = startPair(lab, 'node1', flags)
  t.teardown(() => pair.stop())
  const { clusterIp, nodePort } = addressesOf(NUMBER)
  const common = {
    from: 'p13',
    to: clusterIp.IPv4,
    port: 80,
    node: 'node1',
    logs: pair.logs,
    alive: () => pair.agent.running(),
  }
  await untilWay(lab, { ...common, way: 'kernel' })

  const node = lab.node('node1')
  const clients = [
    { place: 'p13', to: clusterIp.IPv4, port: 80 },
    { place: 'p13', to: clusterIp.IPv6, port: 80 },
    { place: 'node1', to: clusterIp.IPv4, port: 80 },
    { place: 'client', to: nodeAddress(node, 'IPv4'), port: nodePort },
  ]
  const durationMs = CHANGES * CHANGE_EVERY_MS
  const each = CONNECTIONS / clients.length
  const held = await Promise.all(
    clients.map(async ({ place, to, port }) => (await lab.peer(place)).hold(to, port)),
  )
  const streams = await Promise.all(
    clients.map(async ({ place, to, port }) =>
      (await lab.peer(place)).stream(to, port, { intervalMs: durationMs / each, limit: each }),
    ),
  )

  const history: { readonly atMs: number; readonly pods: readonly string[] }[] = [{ atMs: 0, pods: ALL }]
  const startedMs = performance.now()
  let steered = false
  for (let i = 0; i < CHANGES; i++) {
    const pods = ALL.filter((_, bit) => (((i * 5) % 7) + 1) & (1 << bit))
    if (i % (CHANGES / FLIPS) === CHANGES / FLIPS / 2) steered = !steered
    history.push({ atMs: Date.now(), pods })
    write(pods, steered)
    await sleep(Math.max(0, startedMs + (i + 1) * CHANGE_EVERY_MS - performance.now()))
  }

  // The last connections are made up to one interval after the last change.
  await sleep(500)
  const results = await Promise.all(streams.map((stream) => stream.stop()))
  const all = results.flat()
  t.is(all.length, CONNECTIONS)
  const failed = all.filter((one) => one.seen.kind !== 'answered')
  t.deepEqual(failed.slice(0, 10), [], `${failed.length} of ${all.length} connections failed\n${pair.logs()}`)
  const astray = all.filter((one) => isAstray(one, history))
  t.deepEqual(astray.slice(0, 10), [], `${astray.length} connections went to endpoints that had left`)

  const ways = (results[0] ?? []).map((one) =>
    one.seen.kind === 'answered' && nodeAddresses(node).includes(one.seen.source) ? 'proxy' : 'kernel',
  )
  const switches = ways.filter((way, i) => i > 0 && way !== ways[i - 1]).length
  t.true(switches >= FLIPS - 2, `only ${switches} switches between kernel and proxy were seen`)
  t.log(`${all.length} connections, ${switches} switches seen, slowest ${slowest(all)} ms`)

  for (const [i, one] of held.entries()) {
    const before = one.first
    const after = await one.ask()
    const text = `the connection that ${clients[i]?.place} opened before all that`
    if (before.kind !== 'answered' || after.kind !== 'answered')
      t.fail(`${text}: ${before.kind}, ${after.kind}`)
    else t.is(after.by, before.by, text)
  }
})

/** Answered by an endpoint that was in no set that can have been in force. */
function isAstray(
  one: Timed,
  history: readonly { readonly atMs: number; readonly pods: readonly string[] }[],
): boolean {
  if (one.seen.kind !== 'answered') return false
  const { by, ms } = one.seen
  return !history.some(({ pods }, i) => {
    const untilMs = history[i + 1]?.atMs ?? Infinity
    const fromMs = history[i]?.atMs ?? 0
    return pods.includes(by) && fromMs <= one.atMs + ms && untilMs + STALE_MS >= one.atMs
  })
}

function slowest(all: readonly Timed[]): number {
  return Math.max(...all.map((one) => one.seen.ms))
}
