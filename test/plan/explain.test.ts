// The reference meaning, where one address and four clients do not tell it: loopback, sources, hairpin, affinity, steps.
// The rows that they do tell are in explain-addresses and explain-policies.

import test from 'ava'
import { explain } from '#agent/plan/explain.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import { aPacket, aService, aSlice, aWorld, cidr, planOf } from '../support/build.ts'
import {
  CLIENTS,
  CLUSTER_IP,
  EVERYWHERE,
  EXTERNAL_IP,
  HERE,
  LB_IP,
  LOCAL,
  NFTABLES,
  NODE,
  NO_DETECTOR,
  THERE,
  answerOf,
} from '../support/parity.ts'

test('row 15, trap 22: a VIP on the node’s address takes its port from the NodePort of another Service', (t) => {
  const services = [
    aService({ ...EVERYWHERE, name: 'a-nodeport' }),
    aService({ name: 'web', clusterIps: ['10.96.0.11'], externalIps: [NODE], ports: [{ port: 30080 }] }),
  ]
  const slices = [aSlice({ service: 'a-nodeport', endpoints: [HERE] }), aSlice({ endpoints: [THERE] })]
  const packet = aPacket({ from: CLIENTS.outside, to: NODE, port: 30080 })
  t.is(answerOf(explain(planOf({ services, slices }), packet, aWorld()).outcome), 'R masq')
  const elsewhere = aPacket({ from: CLIENTS.outside, to: '172.30.0.10', port: 30080 })
  t.is(answerOf(explain(planOf({ services, slices }), elsewhere, aWorld()).outcome), 'L masq')
})

test('row 19: loopback NodePorts, from the node', (t) => {
  const fromNode = (to: string, options: Partial<PlanOptions>): string => {
    const service = aService({ ...EVERYWHERE, clusterIps: [CLUSTER_IP, 'fd00:96::10'] })
    const slices = [
      aSlice({ endpoints: [HERE] }),
      aSlice({ id: 'default/six', endpoints: [{ ip: 'fd00:244:1::5' }] }),
    ]
    const packet = aPacket({ from: to, to, port: 30080 })
    return answerOf(explain(planOf({ services: [service], slices }, options), packet, aWorld()).outcome)
  }
  t.is(fromNode('127.0.0.1', {}), 'L masq', 'served with masquerade in the iptables column')
  t.is(fromNode('127.0.0.1', { localhostNodePorts: false }), 'pass')
  t.is(fromNode('::1', {}), 'pass', 'never for IPv6')
  t.is(fromNode('127.0.0.1', NFTABLES), 'pass', 'never in the nftables column')
  const listed = (text: string): Partial<PlanOptions> => ({
    nodePortAddresses: { kind: 'cidrs', cidrs: [cidr(text)] },
  })
  t.is(fromNode('127.0.0.1', listed('192.168.0.0/24')), 'pass', 'only if the listed ranges have it')
  t.is(fromNode('127.0.0.1', listed('127.0.0.0/8')), 'L masq')
  t.is(fromNode('127.0.0.1', { ...NFTABLES, ...listed('127.0.0.0/8') }), 'pass')
})

test('row 25: a source that is a load balancer IP passes the ranges only if the node is in them', (t) => {
  const from = (sourceRanges: readonly string[]): string => {
    const services = [aService({ ...EVERYWHERE, loadBalancer: [LB_IP, '198.51.100.2'], sourceRanges })]
    const plan = planOf({ services, slices: [aSlice({ endpoints: [HERE] })] })
    const packet = aPacket({ from: '198.51.100.2', to: LB_IP, inInterface: '' })
    return answerOf(explain(plan, packet, aWorld('198.51.100.2')).outcome)
  }
  t.is(from(['192.168.0.0/24']), 'L masq')
  t.is(from(['8.8.8.0/24']), 'drop')
})

test('row 59, trap 14: who reaches itself is masqueraded, on every address and under every policy', (t) => {
  const plan = planOf({ services: [aService(LOCAL)], slices: [aSlice({ endpoints: [HERE, THERE] })] })
  for (const [to, port] of [
    [CLUSTER_IP, 80],
    [EXTERNAL_IP, 80],
    [LB_IP, 80],
    [NODE, 30080],
  ] as const) {
    const { outcome } = explain(plan, aPacket({ from: HERE.ip, to, port }), aWorld())
    t.is(answerOf(outcome), 'L masq, R', to)
  }
})

test('row 39, 59: a Pod that cannot be told from outside is still masqueraded to itself', (t) => {
  const plan = planOf({ services: [aService(LOCAL)], slices: [aSlice({ endpoints: [HERE] })] }, NO_DETECTOR)
  const { outcome } = explain(plan, aPacket({ from: HERE.ip, to: NODE, port: 30080 }), aWorld())
  t.is(answerOf(outcome), 'L masq')
})

test('rows 49, 50: the affinity timeout comes with the outcome', (t) => {
  const services = [aService({ affinity: { kind: 'ClientIP', timeoutSeconds: 7 } })]
  const plan = planOf({ services, slices: [aSlice({ endpoints: [HERE] })] })
  const { outcome } = explain(plan, aPacket({ from: CLIENTS.pod, to: CLUSTER_IP }), aWorld())
  t.is(outcome.kind === 'forward' ? outcome.affinitySeconds : 'no forward', 7)
})

test('a packet of a family that the node does not have passes', (t) => {
  const plan = planOf({ services: [aService()] }, { families: ['IPv6'] })
  t.is(explain(plan, aPacket({ from: CLIENTS.pod, to: CLUSTER_IP }), aWorld()).outcome.kind, 'pass')
})

test('steered and failClosed come with the outcome', (t) => {
  const services = [aService({ steer: 'always', whenProxyDown: 'reject' })]
  const plan = planOf({ services, slices: [aSlice({ endpoints: [HERE] })] })
  const { outcome } = explain(plan, aPacket({ from: CLIENTS.pod, to: CLUSTER_IP }), aWorld())
  t.like(outcome, { kind: 'forward', steered: true, failClosed: true })
})

const PROXY_OFF = { steering: { mechanism: 'off', proxyPort: 15001 } } as const
const DEMANDS = [
  {
    it: 'a Service that demands the proxy is refused where nothing can be steered',
    service: { steer: 'always', whenProxyDown: 'reject' },
    options: PROXY_OFF,
    want: 'reject',
  },
  {
    it: 'a Service that merely prefers the proxy is balanced by the kernel there',
    service: { steer: 'always', whenProxyDown: 'balance' },
    options: PROXY_OFF,
    want: 'forward',
  },
  {
    it: 'whenProxyDown says nothing where nobody asks for the proxy',
    service: { whenProxyDown: 'reject' },
    options: PROXY_OFF,
    want: 'forward',
  },
  {
    it: 'steer: never beats whenProxyDown',
    service: { steer: 'never', whenProxyDown: 'reject' },
    options: { steer: 'always', ...PROXY_OFF },
    want: 'forward',
  },
] as const

for (const { it, service, options, want } of DEMANDS)
  test(it, (t) => {
    const plan = planOf({ services: [aService(service)], slices: [aSlice({ endpoints: [HERE] })] }, options)
    for (const from of [CLIENTS.pod, CLIENTS.node, CLIENTS.outside])
      t.is(explain(plan, aPacket({ from, to: CLUSTER_IP }), aWorld()).outcome.kind, want)
  })

test('the steps read as an operator needs them', (t) => {
  const services = [aService({ ...LOCAL, sourceRanges: ['192.168.0.0/24', '203.0.113.0/24'] })]
  const plan = planOf({ services, slices: [aSlice({ endpoints: [HERE, THERE] })] })
  const { steps, match } = explain(plan, aPacket({ from: CLIENTS.outside, to: LB_IP }), aWorld())
  t.deepEqual(
    steps.map(({ label, text }) => `${label}: ${text}`),
    [
      'frontend: default/web/TCP · LoadBalancerIP 198.51.100.1:80',
      'sources: 203.0.113.200 is in 192.168.0.0/24, 203.0.113.0/24',
      "client: outside: 203.0.113.200 is neither a Pod's by the local detector nor this node's",
      'verdict: forward: externalTrafficPolicy Local, the endpoints of this node; keep the source',
      'endpoints: the only one',
      'steering: not steered: no route or policy selects this port and nothing asks for the proxy',
    ],
  )
  t.like(match, { service: 'default/web/TCP', client: 'outside' })
})
