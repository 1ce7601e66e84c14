// Steering by DNAT, where BPF is not to be had: the same clients, the same answers, the same dead man's switch.

import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import type { SelfTestResult } from '#agent/datapath/steer/self-test.ts'
import type { SteerState } from '#agent/datapath/steer/steering.ts'
import { hostPort, type Ip } from '#agent/model/ip.ts'
import { createStage, type Flow, type Stage } from './steer/stage.ts'

for (const [shape, variant] of [
  ['routed', 'nft'],
  ['bridged', 'legacy'],
] as const) {
  test(`${shape} Pods, iptables-${variant}: every client reaches the proxy, with the true addresses`, async (t) => {
    const stage = await createStage(shape, variant, 'dnat')
    t.teardown(() => stage.lab.close())
    const proxy = await stage.startProxy()
    t.deepEqual(proxy.ready.skLookup, { kind: 'off', because: 'not asked for' })
    for (const flow of stage.flows)
      t.is(await who(stage, flow), `proxy:${hostPort(flow.to as Ip, flow.port)} ${flow.source}`, flow.name)
    for (const family of ['IPv4', 'IPv6'] as const) {
      const result = await stage.agent<SelfTestResult>({ op: 'selfTest', family, timeoutMs: 500 })
      t.like(result, { kind: 'ok', pid: proxy.pid, generation: 7 }, family)
    }
    const state = await stage.agent<SteerState>({ op: 'read' })
    t.is(state.skLookup.kind, 'absent')
    t.deepEqual(state.routedFamilies, [])

    const peer = await stage.lab.peer('client')
    const [direct] = await peer.connect(stage.flows[3]?.to ?? '', 15001)
    t.is(direct?.kind, 'refused', 'nobody reaches the port of the proxy but by steering')

    proxy.signal('SIGKILL')
    await proxy.ended()
    await sleep(1100)
    for (const flow of stage.flows.filter(({ withoutProxy }) => withoutProxy))
      t.regex(await who(stage, flow, 4000), /^kernel /, `after the end of the proxy: ${flow.name}`)
  })
}

test('a node can go from one mechanism to the other and back', async (t) => {
  const stage = await createStage('routed', 'nft')
  t.teardown(() => stage.lab.close())
  const read = async (): Promise<readonly unknown[]> => {
    const { skLookup, routedFamilies } = await stage.agent<SteerState>({ op: 'read' })
    return [skLookup.kind, routedFamilies.length]
  }
  t.deepEqual(await read(), ['attached', 2])
  await stage.agent({ op: 'prepare', mechanism: 'dnat' })
  t.deepEqual(await read(), ['absent', 0])
  await stage.agent({ op: 'prepare', mechanism: 'sk_lookup' })
  t.deepEqual(await read(), ['attached', 2])
  await stage.agent({ op: 'prepare', mechanism: 'off' })
  t.deepEqual(await read(), ['absent', 0])
})

/** `name source`, or why nobody answered. */
async function who(stage: Stage, flow: Flow, timeoutMs?: number): Promise<string> {
  const seen = await stage.connect(flow, timeoutMs)
  return seen.kind === 'answered' ? `${seen.by} ${seen.source}` : `nobody ${seen.kind}`
}
