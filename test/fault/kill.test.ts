// kill -9 of the agent, of the proxy, and of both, after every step of an apply: traffic goes on, a restart converges,
// and nothing of ours is left twice.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../conformance/objects.ts'
import { listenEverywhere } from '../conformance/stage.ts'
import { refusals, untidyState } from '../support/lab/kernel-state.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'
import { startPair, untilWay, type Pair } from '../support/lab/pair.ts'
import type { Stream } from '../support/lab/peer.ts'
import type { Timed } from '../support/lab/peer-messages.ts'
import { shunt } from '../support/lab/shunt.ts'
import { nodeAddress } from '../support/lab/topology.ts'
import { until } from '../support/lab/wait.ts'

/** Steps of a sync and, within its commit, of the datapath. */
const STEPS = [
  'snapshot',
  'plan',
  'render',
  'change',
  'view-add',
  'steering-add',
  'sets-grow',
  'rules-IPv4',
  'rules-IPv6',
  'sets-shrink',
  'steering-remove',
  'commit',
  'view-remove',
] as const

const NUMBER = 90
const ALWAYS = 91
const VARIANT = 'nft'

/**
 * From the moment at which the kernel closes the sockets of a process of several threads until its parent hears of its
 * end, on a machine that is busy with other tests.
 */
const DYING_MS = 300

/** Until new connections go through the kernel. */
const BOUND_MS = 1_500
/**
 * For processes of the node itself: a second until the heartbeat ends, and one more for a client that takes the port of a
 * connection which was refused in that second, because conntrack keeps those as long.
 */
const NODES_BOUND_MS = 2_100

let lab: Lab
let pair: Pair
let folder: string
let version = 0

test.before(async () => {
  lab = await createLab()
  await listenEverywhere(lab)
  folder = join(lab.folder, 'manifests')
  writeManifest(folder, 'nodes', nodeObjects(lab.topology))
  edit()
  pair = startPair(lab, 'node1', flags())
  await converged('before anything is killed')
})

test.after.always(async () => {
  await pair?.stop()
  await lab?.close()
})

for (const step of STEPS) {
  // Until something is written, the proxy's death beside the agent's is the same death at every step.
  for (const victims of step === 'snapshot' || step === 'plan'
    ? (['agent'] as const)
    : (['agent', 'both'] as const)) {
    test.serial(
      `kill -9 of ${victims === 'agent' ? 'the agent' : 'agent and proxy'} after ${step}`,
      async (t) => {
        t.timeout(60_000)
        const clients = await startClients(t)
        // What it finds is another version than what the kernel holds, so that every step has something to do.
        await pair.agent.stop()
        edit()
        pair.startAgent(['--fault', `after:${step}`])
        await diedOrSynced()
        // A step that has nothing to do in a rebuild has in a change.
        for (let i = 0; i < 6 && pair.agent.running(); i++) {
          edit()
          await sleep(400)
        }
        const died = !pair.agent.running()
        const killedMs = Date.now()
        if (victims === 'both') await pair.proxy.kill()
        await sleep(victims === 'both' ? 1700 : 300)
        if (!died) await pair.agent.stop()
        pair.startAgent()
        if (victims === 'both') pair.startProxy()
        await converged(`after a kill at ${step}`)
        await judge(t, clients, victims === 'both' ? killedMs : undefined)
        t.true(died, `the agent reached ${step} and died`)
      },
    )
  }
}

// From the commit's first step on: before it an agent that has just started need not know the proxy yet.
for (const step of STEPS.slice(STEPS.indexOf('steering-add'))) {
  test.serial(`kill -9 of the proxy after ${step}`, async (t) => {
    t.timeout(60_000)
    const clients = await startClients(t)
    await pair.agent.stop()
    edit()
    const fellMs = pair.proxy.ended().then(() => Date.now())
    pair.startAgent(['--fault', `after:${step}@proxy`])
    await diedOrSynced()
    for (let i = 0; i < 6 && pair.proxy.running(); i++) {
      edit()
      for (let waitedMs = 0; waitedMs < 400 && pair.proxy.running(); waitedMs += 20) await sleep(20)
    }
    const died = !pair.proxy.running()
    const killedMs = died ? await fellMs : Date.now()
    await sleep(1700)
    if (died) pair.startProxy()
    await converged(`after a kill of the proxy at ${step}`)
    await judge(t, clients, killedMs)
    t.true(died, `the agent reached ${step} and killed the proxy`)
  })
}

for (const step of ['steering-prepare', 'steering-add', 'sets-grow', 'rules-IPv4', 'rules-IPv6'] as const) {
  test.serial(`kill -9 of the agent after ${step} of the very first apply on a node`, async (t) => {
    t.timeout(60_000)
    await pair.stop()
    const cleaned = await shunt(lab, 'node1', 'cleanup')
    t.is(cleaned.code, 0, cleaned.stdout + cleaned.stderr)
    pair.startProxy()
    pair.startAgent(['--fault', `after:${step}`])
    await until('the agent dies', () => !pair.agent.running(), { withinMs: 15_000, explain: pair.logs })
    pair.startAgent()
    await converged(`after a kill at ${step}`)
    await judgeKernel(t)
  })
}

test.serial('kill -9 of the proxy while changes are applied', async (t) => {
  t.timeout(120_000)
  for (let round = 0; round < 3; round++) {
    const clients = await startClients(t)
    for (let i = 0; i < 4; i++) {
      edit()
      await sleep(37 * (round + 1))
    }
    const killedMs = Date.now()
    await pair.proxy.kill()
    edit()
    await sleep(1700)
    pair.startProxy()
    await converged(`after round ${round}`)
    await judge(t, clients, killedMs)
  }
})

interface Clients {
  readonly names: readonly string[]
  readonly streams: readonly Stream[]
  /** What rules had refused before. */
  readonly refused: ReadonlyMap<string, number>
}

/** A pod, the node and the outside, to a Service that flips and to one that is always steered. */
async function startClients(t: ExecutionContext): Promise<Clients> {
  const node = lab.node('node1')
  const dials = [
    { place: 'p13', to: addressesOf(NUMBER).clusterIp.IPv4, port: 80 },
    { place: 'p13', to: addressesOf(ALWAYS).clusterIp.IPv6, port: 80 },
    { place: 'node1', to: addressesOf(NUMBER).clusterIp.IPv4, port: 80 },
    { place: 'client', to: nodeAddress(node, 'IPv4'), port: addressesOf(ALWAYS).nodePort },
  ]
  const streams = await Promise.all(
    dials.map(async ({ place, to, port }) => (await lab.peer(place)).stream(to, port, { intervalMs: 10 })),
  )
  t.teardown(() => Promise.all(streams.map((stream) => stream.stop())))
  const names = dials.map(({ place, to, port }) => `${place} to ${to} port ${port}`)
  return { names, streams, refused: await refusals(lab, 'node1', VARIANT) }
}

/** Nothing fails while the agent is dead; while the proxy is dead only what it had in hand, or what fell in a second. */
async function judge(
  t: ExecutionContext,
  clients: Clients,
  proxyKilledMs: number | undefined,
): Promise<void> {
  const results = await Promise.all(clients.streams.map((stream) => stream.stop()))
  const refused = [...(await refusals(lab, 'node1', VARIANT))]
    .filter(([rule, count]) => count > (clients.refused.get(rule) ?? 0))
    .map(([rule, count]) => `${count - (clients.refused.get(rule) ?? 0)} × ${rule}`)
  for (const [i, timed] of results.entries()) {
    // What the proxy had in hand when it died, and what came within the bound.
    const boundMs = clients.names[i]?.startsWith('node1 ') === true ? NODES_BOUND_MS : BOUND_MS
    const isExcused = ({ atMs, seen }: Timed): boolean =>
      proxyKilledMs !== undefined &&
      atMs + seen.ms >= proxyKilledMs - DYING_MS &&
      atMs <= proxyKilledMs + boundMs
    const failed = timed.filter((one) => one.seen.kind !== 'answered' && !isExcused(one))
    const told = failed.slice(0, 5).map((one) => ({ ...one, afterKillMs: one.atMs - (proxyKilledMs ?? 0) }))
    t.deepEqual(
      told,
      [],
      `${clients.names[i]}: ${failed.length} of ${timed.length} failed\n${refused.join('\n')}\n${pair.logs()}`,
    )
    t.true(timed.length > 30)
  }
  await judgeKernel(t)
}

async function judgeKernel(t: ExecutionContext): Promise<void> {
  let said = ''
  await until(
    'the kernel is as the plan says',
    async () => {
      const diff = await shunt(lab, 'node1', 'diff')
      said = diff.stdout + diff.stderr
      return diff.code === 0
    },
    { everyMs: 300, explain: () => `${said}\n${pair.logs()}` },
  )
  t.deepEqual(await untidyState(lab, 'node1', VARIANT), [])
}

/** The next version: other endpoints, the other way. */
function edit(): void {
  version++
  const write = (name: string, number: number, steered: boolean): void => {
    const endpoints = version % 2 === 0 ? [{ pod: 'p11' }] : [{ pod: 'p12' }, { pod: 'p21' }]
    const annotations = { 'shunt.dev/steer': steered ? 'always' : 'never' }
    writeManifest(folder, name, serviceObjects({ name, number, endpoints, annotations }, lab.topology))
  }
  write('flips', NUMBER, version % 2 === 0)
  write('steered', ALWAYS, true)
}

/** The node serves the version that was written last. */
async function converged(when: string): Promise<void> {
  const { logs } = pair
  const alive = (): boolean => pair.agent.running()
  const way = version % 2 === 0 ? 'proxy' : 'kernel'
  await untilWay(lab, {
    from: 'p13',
    to: addressesOf(NUMBER).clusterIp.IPv4,
    port: 80,
    node: 'node1',
    way,
    logs,
    alive,
  })
  await untilWay(lab, {
    from: 'p13',
    to: addressesOf(ALWAYS).clusterIp.IPv6,
    port: 80,
    node: 'node1',
    way: 'proxy',
    logs,
    alive,
  })
  const expected = version % 2 === 0 ? ['p11'] : ['p12', 'p21']
  const peer = await lab.peer('p13')
  await until(
    `${expected.join(' and ')} serve ${when}`,
    async () => {
      const seen = await peer.connect(addressesOf(NUMBER).clusterIp.IPv4, 80, { count: 30 })
      const by = new Set(seen.map((one) => (one.kind === 'answered' ? one.by : one.kind)))
      return by.size === expected.length && expected.every((name) => by.has(name))
    },
    { explain: logs },
  )
}

async function diedOrSynced(): Promise<void> {
  await until(
    'the agent dies or finishes its first sync',
    () => !pair.agent.running() || pair.agent.log().includes('the rules are in place'),
    { withinMs: 15_000, everyMs: 20, explain: pair.logs },
  )
}

function flags(): readonly string[] {
  return [
    '--manifests',
    folder,
    '--cluster-cidr',
    '10.244.0.0/16,fd00:244::/32',
    '--iptables-variant',
    VARIANT,
    '--min-sync-period',
    '20ms',
  ]
}
