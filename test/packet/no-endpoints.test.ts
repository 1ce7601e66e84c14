// What a client sees when a steered Service loses its last endpoint: what Kubernetes says. It is refused at connect;
// nobody accepts it only to hang up.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../conformance/objects.ts'
import { listenEverywhere } from '../conformance/stage.ts'
import { createLab } from '../support/lab/lab.ts'
import { startPair, untilWay } from '../support/lab/pair.ts'
import { until } from '../support/lab/wait.ts'
import type { Timed } from '../support/lab/peer-messages.ts'
import { nodeAddress } from '../support/lab/topology.ts'

const NUMBER = 71
const EVERY_MS = 10
/** From the change of the file to the last rule, on a busy machine. */
const CHANGE_MS = 4_000
const ROUNDS = 3

test('a steered Service that loses its last endpoint under load is refused at connect, and comes back', async (t) => {
  t.timeout(180_000)
  const lab = await createLab()
  t.teardown(() => lab.close())
  await listenEverywhere(lab)
  const folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  const write = (pods: readonly string[]): void => {
    const shape = {
      name: 'empty',
      number: NUMBER,
      endpoints: pods.map((pod) => ({ pod })),
      annotations: { 'shunt.dev/steer': 'always' },
    }
    const [service, ...slices] = serviceObjects(shape, lab.topology)
    writeManifest(folder, 'slices', slices)
    if (service !== undefined) writeManifest(folder, 'service', [service])
  }
  write(['p11', 'p21'])
  const cidrs = '10.244.0.0/16,fd00:244::/32'
  const flags = ['--manifests', folder, '--cluster-cidr', cidrs, '--min-sync-period', '20ms']
  const pair = startPair(lab, 'node1', flags)
  t.teardown(() => pair.stop())
  const { clusterIp, nodePort } = addressesOf(NUMBER)
  const steered = {
    from: 'p13',
    to: clusterIp.IPv4,
    port: 80,
    node: 'node1',
    way: 'proxy',
    logs: pair.logs,
    alive: () => pair.agent.running(),
  } as const
  const node = lab.node('node1')
  const clients = [
    { place: 'p13', to: clusterIp.IPv4, port: 80 },
    { place: 'p13', to: clusterIp.IPv6, port: 80 },
    { place: 'node1', to: clusterIp.IPv4, port: 80 },
    { place: 'client', to: nodeAddress(node, 'IPv4'), port: nodePort },
  ]
  for (let round = 0; round < ROUNDS; round++) {
    await untilWay(lab, steered)
    // The rules of the other family come a moment later.
    for (const { place, to, port } of clients) {
      const peer = await lab.peer(place)
      await until(`${place} is served at ${to}`, async () => {
        const [seen] = await peer.connect(to, port, { timeoutMs: 1_000 })
        return seen?.kind === 'answered'
      })
    }
    const streams = await Promise.all(
      clients.map(async ({ place, to, port }) =>
        (await lab.peer(place)).stream(to, port, { intervalMs: EVERY_MS, limit: 10_000, timeoutMs: 4_000 }),
      ),
    )
    await sleep(1_000)
    const changedAtMs = Date.now()
    write(round === 1 ? ['p21'] : [])
    if (round === 1) {
      await sleep(300)
      write([])
    }
    await sleep(CHANGE_MS + 1_000)
    const results = await Promise.all(streams.map((stream) => stream.stop()))
    for (const [i, timed] of results.entries()) {
      const who = `round ${round}, ${clients[i]?.place} to ${clients[i]?.to}`
      t.true(timed.length > 200, `${who}: ${timed.length} connections`)
      const count = (kind: Timed['seen']['kind'], from: number, until: number): number =>
        timed.filter(({ atMs, seen }) => seen.kind === kind && atMs >= from && atMs < until).length
      const early = timed.filter(({ atMs }) => atMs < changedAtMs)
      t.deepEqual(
        early
          .filter(({ seen }) => seen.kind !== 'answered')
          .map(({ atMs, seen }) => ({ earlierMs: changedAtMs - atMs, seen })),
        [],
        `${who}: before the change all are answered\n${pair.logs()}`,
      )
      const after = timed.filter(({ atMs }) => atMs >= changedAtMs + CHANGE_MS).length
      t.is(
        count('refused', changedAtMs + CHANGE_MS, Infinity),
        after,
        `${who}: after it all are refused at connect\n${kinds(timed, changedAtMs + CHANGE_MS)}`,
      )
      // While it changes: answered or refused, and nothing is accepted to be dropped.
      const odd = timed.filter(({ seen }) => seen.kind !== 'answered' && seen.kind !== 'refused')
      t.deepEqual(odd.slice(0, 3), [], `${who}: ${odd.length} saw something else\n${pair.logs()}`)
    }
    write(['p11', 'p21'])
  }
})

function kinds(timed: readonly Timed[], fromMs: number): string {
  const counts = new Map<string, number>()
  for (const { atMs, seen } of timed)
    if (atMs >= fromMs) counts.set(seen.kind, (counts.get(seen.kind) ?? 0) + 1)
  return JSON.stringify(Object.fromEntries(counts))
}
