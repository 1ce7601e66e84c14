// Steering end to end on the real kernel: who answers a new connection, whom the server sees as client, what happens to
// connections that stand, and how fast the kernel takes over when the proxy dies or stalls.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import type { SelfTestResult } from '#agent/datapath/steer/self-test.ts'
import type { SteerState } from '#agent/datapath/steer/steering.ts'
import type { ConntrackEntry } from '#agent/kernel/netlink/conntrack.ts'
import { hostPort, type Ip } from '#agent/model/ip.ts'
import { until } from '../support/lab/wait.ts'
import { VIP, type Variant } from './steer/rules.ts'
import { createStage, type Flow, type Stage } from './steer/stage.ts'

const HALF_OPEN_CLIENT = fileURLToPath(new URL('./steer/half-open-client.ts', import.meta.url))

/** HEARTBEAT_TIMEOUT_S, and what a busy machine adds. */
const WITHDRAWN_WITHIN_MS = 1400

for (const [shape, variant] of [
  ['routed', 'nft'],
  ['bridged', 'nft'],
  ['routed', 'legacy'],
  ['bridged', 'legacy'],
] as const) {
  test(`${shape} Pods, iptables-${variant}: every client reaches the proxy, with the true addresses`, async (t) => {
    const stage = await stageFor(t, shape, variant)
    // Generous: over a bridge the first IPv6 packet may be lost to neighbour discovery.
    for (const flow of byKernel(stage))
      t.regex(await who(stage, flow, 4000), /^kernel /, `before the proxy: ${flow.name}`)

    const proxy = await stage.startProxy()
    t.deepEqual(proxy.ready, { skLookup: { kind: 'attached' }, uid: 15001 })
    for (const flow of stage.flows) t.is(await who(stage, flow), byProxy(flow), flow.name)

    const vip = stage.flows.filter(({ port }) => port === 80)
    for (const flow of vip)
      t.regex(await who(stage, { ...flow, port: 81 }), /^kernel /, `port 81: ${flow.name}`)
    for (const family of ['IPv4', 'IPv6'] as const) {
      const result = await stage.agent<SelfTestResult>({ op: 'selfTest', family, timeoutMs: 500 })
      t.like(result, { kind: 'ok', pid: proxy.pid, generation: 7 }, family)
    }
    const entries = await stage.agent<ConntrackEntry[]>({ op: 'steered-entries' })
    t.true(
      entries.some(({ original }) => original.destination === VIP.IPv4 && original.destinationPort === 80),
    )
  })
}

test('connections that stand survive the withdrawal, and new ones go through the kernel', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  const proxy = await stage.startProxy()
  const held = await Promise.all(
    stage.flows.map(async (flow) => ({
      flow,
      held: await (await stage.lab.peer(flow.from)).hold(flow.to, flow.port),
    })),
  )
  for (const {
    flow,
    held: { first },
  } of held)
    t.is(first.kind === 'answered' && first.by, `proxy:${target(flow)}`, flow.name)
  // First by silence, then by taking the frontends out of their sets.
  proxy.signal('SIGSTOP')
  await sleep(WITHDRAWN_WITHIN_MS)
  for (const flow of byKernel(stage)) t.regex(await who(stage, flow), /^kernel /, flow.name)
  for (const set of ['SHUNT-STEER-4', 'SHUNT-STEER-6', 'SHUNT-STEER-NP'])
    await stage.lab.exec(stage.node, ['/usr/sbin/ipset', 'flush', set])
  proxy.signal('SIGCONT')
  for (const { flow, held: connection } of held) {
    const seen = await connection.ask()
    t.is(seen.kind === 'answered' && seen.by, `proxy:${target(flow)}`, `still open: ${flow.name}`)
  }
  for (const flow of byKernel(stage)) t.regex(await who(stage, flow), /^kernel /, `after: ${flow.name}`)
})

for (const variant of ['nft', 'legacy'] as const) {
  test(`iptables-${variant}: after kill -9 forwarded connections go through the kernel at once, the node's within the heartbeat`, async (t) => {
    const stage = await stageFor(t, 'routed', variant)
    const proxy = await stage.startProxy()
    for (const flow of stage.flows) t.is(await who(stage, flow), byProxy(flow), flow.name)
    proxy.signal('SIGKILL')
    await proxy.ended()
    for (const flow of byKernel(stage).filter(({ forwarded }) => forwarded))
      t.regex(await who(stage, flow), /^kernel /, flow.name)
    for (const flow of byKernel(stage).filter(({ forwarded }) => !forwarded)) {
      const { kind } = await stage.connect(flow, 300)
      t.true(kind === 'refused' || kind === 'answered', `refused rather than silent: ${flow.name}: ${kind}`)
      await until(`${flow.name} by the kernel`, async () => (await who(stage, flow)).startsWith('kernel '), {
        withinMs: WITHDRAWN_WITHIN_MS,
        everyMs: 20,
      })
    }
  })
}

test('a client whose proxy died is reset when it sends, however late', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  // The kernel forgets the dead proxy's connections after this; then no socket is left that could answer.
  await stage.lab.exec(stage.node, ['/usr/sbin/sysctl', '-qw', 'net.ipv4.tcp_fin_timeout=1'])
  const proxy = await stage.startProxy()
  const clients = await Promise.all(
    stage.flows
      .filter(({ port }) => port === 80)
      .map(async (flow) => {
        const argv = [process.execPath, HALF_OPEN_CLIENT, flow.to]
        const child = stage.lab.spawn(flow.from, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
        let output = ''
        child.stdout?.on('data', (chunk) => (output += String(chunk)))
        await until(`${flow.name} answered`, () => output === 'answered\n')
        return { flow, child, ended: once(child, 'close'), output: () => output }
      }),
  )
  proxy.signal('SIGKILL')
  await proxy.ended()
  await sleep(2500)
  for (const { child } of clients) child.kill('SIGUSR2')
  for (const { flow, ended, output } of clients) {
    await ended
    t.regex(output(), /^answered\n(EPIPE|ECONNRESET)\n$/, flow.name)
  }
})

test('a stalled proxy falls out of the path within the heartbeat, and returns when it wakes', async (t) => {
  const stage = await stageFor(t, 'bridged', 'nft')
  const proxy = await stage.startProxy()
  for (const flow of stage.flows) t.is(await who(stage, flow), byProxy(flow), flow.name)
  proxy.signal('SIGSTOP')
  const flow = stage.flows[0] as Flow
  const tookMs = await until(
    'the kernel takes over',
    async () => (await who(stage, flow, 100)).startsWith('kernel '),
    {
      withinMs: 3000,
      everyMs: 5,
    },
  )
  t.log(`taken over after ${Math.round(tookMs)} ms`)
  t.true(tookMs < WITHDRAWN_WITHIN_MS)
  proxy.signal('SIGCONT')
  await until('the proxy is back', async () => (await who(stage, flow)) === byProxy(flow), { withinMs: 2000 })
  proxy.signal('SIGTERM')
  await proxy.ended()
  t.regex(await who(stage, flow), /^kernel /, 'an orderly end withdraws at once')
})

for (const [rpFilter, srcValidMark] of [
  [0, 1],
  [1, 0],
  [1, 1],
] as const) {
  test(`rp_filter=${rpFilter} src_valid_mark=${srcValidMark}: every client reaches the proxy`, async (t) => {
    const stage = await stageFor(t, 'routed', 'nft')
    const devices = await stage.lab.exec(stage.node, ['/usr/bin/ls', '/proc/sys/net/ipv4/conf'])
    const settings = devices.stdout
      .trim()
      .split('\n')
      .flatMap((device) => [
        `net.ipv4.conf.${device}.rp_filter=${rpFilter}`,
        `net.ipv4.conf.${device}.src_valid_mark=${srcValidMark}`,
      ])
    await stage.lab.exec(stage.node, ['/usr/sbin/sysctl', '-qw', ...settings])
    await stage.startProxy()
    for (const flow of stage.flows) t.is(await who(stage, flow), byProxy(flow), flow.name)
  })
}

test('a firewall that validates sources with the mark, as firewalld does, lets every client through', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  for (const program of ['iptables', 'ip6tables']) {
    const drop = '-A PREROUTING -m rpfilter --validmark --invert -j DROP'
    await stage.lab.exec(stage.node, [`/usr/sbin/${program}-nft-restore`, '--noflush'], {
      input: `*mangle\n${drop}\nCOMMIT\n`,
    })
  }
  await stage.startProxy()
  for (const flow of stage.flows) t.is(await who(stage, flow), byProxy(flow), flow.name)
})

test('a program of the node that listens on port 80 of every address never gets a steered connection', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  const node = await stage.lab.peer(stage.node)
  await node.listen('::', 80, { name: 'host-program' })
  const proxy = await stage.startProxy()
  const vip = stage.flows.filter(({ port }) => port === 80)
  for (const flow of vip) t.is(await who(stage, flow), byProxy(flow), flow.name)
  proxy.signal('SIGKILL')
  await proxy.ended()
  for (let round = 0; round < 8; round++) {
    for (const flow of vip) {
      const seen = await stage.connect(flow, 300)
      t.false(seen.kind === 'answered' && seen.by === 'host-program', flow.name)
    }
    await sleep(100)
  }
})

test('the state can be read, a proxy that starts alone attaches itself, and nothing is left after a purge', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  const flow = stage.flows[0] as Flow
  const before = await stage.agent<SteerState>({ op: 'read' })
  t.deepEqual(before.routedFamilies, ['IPv4', 'IPv6'])
  t.like(before.skLookup, { kind: 'attached', listeners: [] })
  if (before.skLookup.kind === 'attached') t.is(before.skLookup.keys.length, 3)

  // Without the pinned link there is no program; the proxy makes it again, on the maps that are there.
  await stage.lab.exec(stage.node, ['/usr/bin/rm', `${stage.pinDir}/steer_link`])
  t.like(await stage.agent<SteerState>({ op: 'read' }), { skLookup: { kind: 'absent' } })
  await stage.startProxy()
  t.is(await who(stage, flow), byProxy(flow))
  const during = await stage.agent<SteerState>({ op: 'read' })
  t.like(during.skLookup, { kind: 'attached', listeners: ['IPv4', 'IPv6'] })

  await stage.agent({ op: 'remove', keys: [{ ip: VIP.IPv4 as Ip, port: 80 }] })
  t.regex(await who(stage, flow), /^kernel /, 'without its key no listener is found, so it is not steered')
  await stage.agent({ op: 'purge' })
  await stage.agent({ op: 'purge' })
  t.false(existsSync(`${stage.pinDir}/steer_link`))
  for (const family of ['-4', '-6']) {
    const rules = await stage.lab.exec(stage.node, ['/usr/sbin/ip', family, 'rule'])
    const routes = await stage.lab.exec(stage.node, ['/usr/sbin/ip', family, 'route', 'show', 'table', 'all'])
    t.notRegex(rules.stdout, /5388|5389|5390|5391/)
    t.notRegex(routes.stdout, /5390|169\.254\.53\.90|fd53:/)
  }
})

test('the self-test fails when nothing marks its packets, and when no proxy listens', async (t) => {
  const stage = await stageFor(t, 'routed', 'nft')
  const ask = async (family: 'IPv4' | 'IPv6'): Promise<string> =>
    (await stage.agent<SelfTestResult>({ op: 'selfTest', family, timeoutMs: 300 })).kind
  t.deepEqual([await ask('IPv4'), await ask('IPv6')], ['failed', 'failed'], 'no proxy')
  await stage.startProxy()
  t.deepEqual([await ask('IPv4'), await ask('IPv6')], ['ok', 'ok'], 'a proxy')
  for (const program of ['iptables', 'ip6tables'])
    await stage.lab.exec(stage.node, [`/usr/sbin/${program}-nft`, '-t', 'mangle', '-F', 'OUTPUT'])
  t.deepEqual([await ask('IPv4'), await ask('IPv6')], ['failed', 'failed'], 'no rules')
})

async function stageFor(t: ExecutionContext, shape: 'routed' | 'bridged', variant: Variant): Promise<Stage> {
  const stage = await createStage(shape, variant)
  t.teardown(() => stage.lab.close())
  return stage
}

function byKernel(stage: Stage): readonly Flow[] {
  return stage.flows.filter(({ withoutProxy }) => withoutProxy)
}

/** `name source`, or why nobody answered. */
async function who(stage: Stage, flow: Flow, timeoutMs?: number): Promise<string> {
  const seen = await stage.connect(flow, timeoutMs)
  return seen.kind === 'answered' ? `${seen.by} ${seen.source}` : `nobody ${seen.kind}`
}

function byProxy(flow: Flow): string {
  return `proxy:${target(flow)} ${flow.source}`
}

function target(flow: Flow): string {
  return hostPort(flow.to as Ip, flow.port)
}
