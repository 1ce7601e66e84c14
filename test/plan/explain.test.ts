// The reference meaning against kube-proxy's parity table: each row names the rows (and traps) that it decides, dials one
// address from the four kinds of clients, and says what each of them meets.
//
// An answer is `L` and `R` for the endpoint here and the one on the other node, with `masq` if they see the node's
// address; or reject, drop, pass.

import test from 'ava'
import { explain } from '#agent/plan/explain.ts'
import type { Outcome } from '#agent/plan/explanation.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import {
  aPacket,
  aService,
  aSlice,
  aWorld,
  cidr,
  planOf,
  type EndpointText,
  type PacketText,
  type ServiceText,
  type SnapshotParts,
} from '../support/build.ts'

const CLIENTS = {
  pod: '10.244.1.99',
  otherPod: '10.244.2.99',
  node: '192.168.0.10',
  outside: '203.0.113.200',
} as const

/** In the order of CLIENTS. */
type Answers = readonly [pod: string, otherPod: string, node: string, outside: string]

interface Row {
  readonly rows: string
  readonly it: string
  readonly service?: ServiceText
  /** Default: one here, one on the other node, both ready. */
  readonly endpoints?: readonly (EndpointText | string)[]
  readonly options?: Partial<PlanOptions>
  readonly to: string
  readonly packet?: Partial<PacketText>
  /** Further local addresses. */
  readonly world?: readonly string[]
  readonly want: Answers
}

const HERE: EndpointText = { ip: '10.244.1.5' }
const THERE: EndpointText = { ip: '10.244.2.5', nodeName: 'n2' }
const LEAVING = { ready: false, terminating: true }

const EVERYWHERE: ServiceText = {
  type: 'LoadBalancer',
  ports: [{ nodePort: 30080 }],
  externalIps: ['203.0.113.1'],
  loadBalancer: ['198.51.100.1'],
}
const LOCAL: ServiceText = { ...EVERYWHERE, externalTrafficPolicy: 'Local' }
const RANGED: ServiceText = { ...EVERYWHERE, sourceRanges: ['10.244.1.0/24', '192.168.0.0/24'] }

const CLUSTER_IP = '10.96.0.10'
const EXTERNAL_IP = '203.0.113.1'
const LB_IP = '198.51.100.1'
const NODE = '192.168.0.10'
const AT_NODE_PORT = { port: 30080 }
const NO_DETECTOR: Partial<PlanOptions> = { localDetector: { kind: 'none' } }
const NFTABLES: Partial<PlanOptions> = { semantics: 'nftables' }

const same = (answer: string): Answers => [answer, answer, answer, answer]

const ROWS: readonly Row[] = [
  // 1.1 what is proxied
  {
    rows: '1',
    it: 'leaves a Service of another proxy alone',
    service: { ...EVERYWHERE, foreignProxy: true },
    to: CLUSTER_IP,
    want: same('pass'),
  },
  {
    rows: '1, 2',
    it: 'leaves a headless Service alone, its NodePort included',
    service: { ...EVERYWHERE, headless: true },
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '2, trap 33',
    it: 'stops at once for a Service that became ExternalName and still shows a ClusterIP',
    service: { ...EVERYWHERE, type: 'ExternalName' },
    to: CLUSTER_IP,
    want: same('pass'),
  },
  {
    rows: '5',
    it: 'has no NodePort in a family in which the Service has no ClusterIP',
    service: { ...EVERYWHERE, clusterIps: ['fd00:96::10'] },
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '6',
    it: 'keeps a port number of one protocol apart from the same number of another',
    to: CLUSTER_IP,
    packet: { protocol: 'UDP' },
    want: same('pass'),
  },
  {
    rows: '5',
    it: 'rejects in a family without endpoints while the other one works',
    service: { clusterIps: [CLUSTER_IP, 'fd00:96::10'] },
    endpoints: ['fd00:244:1::5'],
    to: CLUSTER_IP,
    want: same('reject'),
  },

  // 1.2 which addresses
  {
    rows: '14, 32, 46, 57, trap 12',
    it: 'forwards a ClusterIP to any endpoint and masquerades whoever is no Pod',
    to: CLUSTER_IP,
    want: ['L R', 'L R', 'L R masq', 'L R masq'],
  },
  {
    rows: '15, 58, trap 11',
    it: 'forwards a NodePort of the node and masquerades everybody',
    service: EVERYWHERE,
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '15, trap 22',
    it: 'prefers a VIP over the NodePort of the same number on the same address',
    service: { ...EVERYWHERE, externalIps: [NODE], ports: [{ port: 30080, nodePort: 30080 }] },
    endpoints: [],
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('reject'),
  },
  {
    rows: '16, 17, trap 22',
    it: 'answers NodePorts on every local address by default in the iptables column',
    service: EVERYWHERE,
    to: '172.30.0.10',
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '17, trap 23',
    it: 'answers NodePorts on the primary address alone by default in the nftables column',
    service: EVERYWHERE,
    options: NFTABLES,
    to: '172.30.0.10',
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '17',
    it: 'answers NodePorts on the primary address in the nftables column',
    service: EVERYWHERE,
    options: NFTABLES,
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '16',
    it: 'answers NodePorts only in the listed ranges',
    service: EVERYWHERE,
    options: { nodePortAddresses: { kind: 'cidrs', cidrs: [cidr('172.30.0.0/16')] } },
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '16, trap 23',
    it: 'leaves a family open of which no range is listed',
    service: EVERYWHERE,
    options: { nodePortAddresses: { kind: 'cidrs', cidrs: [cidr('fd00:168::/64')] } },
    to: '172.30.0.10',
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '15',
    it: 'has no NodePort on an address that is not local',
    service: EVERYWHERE,
    to: '192.168.0.11',
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '15',
    it: 'has no NodePort on a ClusterIP',
    service: EVERYWHERE,
    to: CLUSTER_IP,
    packet: AT_NODE_PORT,
    want: same('pass'),
  },
  {
    rows: '21',
    it: 'captures a load balancer IP',
    service: EVERYWHERE,
    to: LB_IP,
    want: same('L R masq'),
  },
  {
    rows: '21, trap 34',
    it: 'leaves a load balancer IP of mode Proxy alone',
    service: { ...EVERYWHERE, loadBalancer: [`${LB_IP} Proxy`] },
    to: LB_IP,
    want: same('pass'),
  },
  {
    rows: '22',
    it: 'captures an external IP without looking at source ranges',
    service: { ...RANGED, sourceRanges: ['8.8.8.0/24'] },
    to: EXTERNAL_IP,
    want: same('L R masq'),
  },
  {
    rows: '22',
    it: 'leaves external IPs alone when they are switched off',
    service: EVERYWHERE,
    options: { allowExternalIps: false },
    to: EXTERNAL_IP,
    want: same('pass'),
  },
  {
    rows: '23',
    it: 'serves a load balancer IP without a NodePort',
    service: { ...EVERYWHERE, ports: [{}] },
    to: LB_IP,
    want: same('L R masq'),
  },
  {
    rows: '24, trap 24',
    it: 'drops sources outside of the load balancer ranges, Pods of other nodes included',
    service: RANGED,
    to: LB_IP,
    want: ['L R masq', 'drop', 'L R masq', 'drop'],
  },
  {
    rows: '24',
    it: 'does not guard NodePorts with the ranges',
    service: RANGED,
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '24',
    it: 'does not guard the ClusterIP with the ranges',
    service: RANGED,
    to: CLUSTER_IP,
    want: ['L R', 'L R', 'L R masq', 'L R masq'],
  },
  {
    rows: '26',
    it: 'takes a range of everything for no restriction',
    service: { ...RANGED, sourceRanges: ['8.8.8.0/24', '0.0.0.0/0'] },
    to: LB_IP,
    want: same('L R masq'),
  },
  {
    rows: '26, trap 24',
    it: 'takes ranges of the other family alone for no restriction',
    service: { ...RANGED, sourceRanges: ['fd00:203::/64'] },
    to: LB_IP,
    want: same('L R masq'),
  },
  {
    rows: '27',
    it: 'has no filter without endpoints in the iptables column: all are rejected (the node: row 56)',
    service: RANGED,
    endpoints: [],
    to: LB_IP,
    want: ['reject', 'reject', 'pass', 'reject'],
  },
  {
    rows: '27',
    it: 'keeps the filter without endpoints in the nftables column',
    service: RANGED,
    endpoints: [],
    options: NFTABLES,
    to: LB_IP,
    want: ['reject', 'drop', 'reject', 'drop'],
  },
  {
    rows: '29',
    it: 'leaves an unknown port of a ClusterIP alone in the iptables column',
    to: CLUSTER_IP,
    packet: { port: 81 },
    want: same('pass'),
  },
  {
    rows: '29',
    it: 'rejects an unknown port of a ClusterIP in the nftables column, whatever the protocol',
    options: NFTABLES,
    to: CLUSTER_IP,
    packet: { port: 81, protocol: 'SCTP' },
    want: same('reject'),
  },
  {
    rows: '30',
    it: 'leaves a free address of the Service range alone in the iptables column',
    to: '10.96.0.77',
    want: same('pass'),
  },
  {
    rows: '30',
    it: 'drops packets to a free address of the Service range in the nftables column',
    options: NFTABLES,
    to: '10.96.0.77',
    want: same('drop'),
  },
  {
    rows: '30',
    it: 'leaves addresses outside of every Service range alone in the nftables column',
    options: NFTABLES,
    to: '8.8.8.8',
    want: same('pass'),
  },

  // 1.3 which endpoints
  {
    rows: '35',
    it: 'holds a ClusterIP with internal policy Local to this node, for everybody',
    service: { internalTrafficPolicy: 'Local' },
    to: CLUSTER_IP,
    want: ['L', 'L', 'L masq', 'L masq'],
  },
  {
    rows: '35',
    it: 'does not hold other addresses to the internal policy',
    service: { ...EVERYWHERE, internalTrafficPolicy: 'Local' },
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('L R masq'),
  },
  {
    rows: '36, 37, 38, 58, 65, traps 2, 13',
    it: 'keeps NodePort traffic from outside here with its source under Local, and short-circuits the cluster',
    service: LOCAL,
    to: NODE,
    packet: AT_NODE_PORT,
    want: ['L R', 'L R', 'L R masq', 'L'],
  },
  {
    rows: '36, 37, 38',
    it: 'does the same for a load balancer IP',
    service: LOCAL,
    to: LB_IP,
    want: ['L R', 'L R', 'L R masq', 'L'],
  },
  {
    rows: '36, 37, 38',
    it: 'does the same for an external IP',
    service: LOCAL,
    to: EXTERNAL_IP,
    want: ['L R', 'L R', 'L R masq', 'L'],
  },
  {
    rows: '36',
    it: 'leaves the ClusterIP of a Service with external policy Local as it is',
    service: LOCAL,
    to: CLUSTER_IP,
    want: ['L R', 'L R', 'L R masq', 'L R masq'],
  },
  {
    rows: '39',
    it: 'has a short-circuit for the node alone when Pods cannot be told',
    service: LOCAL,
    options: NO_DETECTOR,
    to: LB_IP,
    want: ['L', 'L', 'L R masq', 'L'],
  },
  {
    rows: '65',
    it: 'takes Pods of other nodes for outside when Pods are told by the node’s range',
    service: LOCAL,
    options: { localDetector: { kind: 'nodeCidr' } },
    to: LB_IP,
    want: ['L R', 'L', 'L R masq', 'L'],
  },
  {
    rows: '64, 65',
    it: 'tells Pods by the prefix of their device',
    service: LOCAL,
    options: { localDetector: { kind: 'interfaceNamePrefix', prefix: 'veth' } },
    to: LB_IP,
    want: ['L R', 'L', 'L R masq', 'L'],
  },
  {
    rows: '64, 65',
    it: 'tells Pods by the bridge they come from',
    service: LOCAL,
    options: { localDetector: { kind: 'bridgeInterface', name: 'eth0' } },
    to: LB_IP,
    want: ['L', 'L R', 'L R masq', 'L R'],
  },
  {
    rows: '40',
    it: 'does not honour the external policy of a ClusterIP Service without external IPs',
    service: { ...LOCAL, type: 'ClusterIP', externalIps: [] },
    to: LB_IP,
    want: same('L R masq'),
  },
  {
    rows: '40',
    it: 'honours the external policy of a ClusterIP Service with external IPs',
    service: { ...LOCAL, type: 'ClusterIP' },
    to: EXTERNAL_IP,
    want: ['L R', 'L R', 'L R masq', 'L'],
  },
  {
    rows: '33, trap 5',
    it: 'uses a terminating endpoint here for outside while the cluster set has the ready one there',
    service: LOCAL,
    endpoints: [{ ...HERE, ...LEAVING }, THERE],
    to: LB_IP,
    want: ['R', 'R', 'R masq', 'L'],
  },
  {
    rows: '34, 54',
    it: 'rejects when the only endpoints do not serve',
    endpoints: [{ ...HERE, ready: false, serving: false, terminating: true }],
    to: CLUSTER_IP,
    want: same('reject'),
  },

  // 1.5 reject, drop, masquerade
  {
    rows: '54, trap 1',
    it: 'rejects a ClusterIP without endpoints for everybody',
    endpoints: [],
    to: CLUSTER_IP,
    want: same('reject'),
  },
  {
    rows: '54, 56',
    it: 'rejects a NodePort without endpoints, also from the node, whose packets come in again',
    service: EVERYWHERE,
    endpoints: [],
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('reject'),
  },
  {
    rows: '56, trap 25',
    it: 'lets the node’s own packets to an external IP without endpoints go in the iptables column',
    service: EVERYWHERE,
    endpoints: [],
    to: EXTERNAL_IP,
    want: ['reject', 'reject', 'pass', 'reject'],
  },
  {
    rows: '56, trap 25',
    it: 'rejects them in the nftables column',
    service: EVERYWHERE,
    endpoints: [],
    options: NFTABLES,
    to: EXTERNAL_IP,
    want: same('reject'),
  },
  {
    rows: '56',
    it: 'rejects them in the iptables column too if the address is the node’s own, for then they come in again',
    service: EVERYWHERE,
    endpoints: [],
    to: LB_IP,
    world: [LB_IP],
    want: same('reject'),
  },
  {
    rows: '55, trap 1',
    it: 'drops ClusterIP traffic under internal Local with endpoints elsewhere only',
    service: { internalTrafficPolicy: 'Local' },
    endpoints: [THERE],
    to: CLUSTER_IP,
    want: same('drop'),
  },
  {
    rows: '55, traps 3, 4',
    it: 'drops outside traffic under Local with endpoints elsewhere only, and still serves the cluster',
    service: LOCAL,
    endpoints: [THERE],
    to: LB_IP,
    want: ['R', 'R', 'R masq', 'drop'],
  },
  {
    rows: '54',
    it: 'rejects under Local when there is no endpoint anywhere',
    service: LOCAL,
    endpoints: [],
    to: NODE,
    packet: AT_NODE_PORT,
    want: same('reject'),
  },
  {
    rows: '57',
    it: 'masquerades Pods too with masqueradeAll',
    options: { masqueradeAll: true },
    to: CLUSTER_IP,
    want: same('L R masq'),
  },
  {
    rows: '57',
    it: 'masquerades everybody with masqueradeAll, also when Pods cannot be told',
    options: { ...NO_DETECTOR, masqueradeAll: true },
    to: CLUSTER_IP,
    want: same('L R masq'),
  },
  {
    rows: '57, 58',
    it: 'does not let masqueradeAll touch what keeps its source under Local',
    service: LOCAL,
    options: { masqueradeAll: true },
    to: LB_IP,
    want: ['L R', 'L R', 'L R masq', 'L'],
  },
  {
    rows: '57, trap 12',
    it: 'masquerades nobody to a ClusterIP when Pods cannot be told',
    options: NO_DETECTOR,
    to: CLUSTER_IP,
    want: same('L R'),
  },
]

for (const row of ROWS) {
  test(`row ${row.rows}: ${row.it}`, (t) => {
    const given: SnapshotParts = {
      services: [aService(row.service)],
      slices: [aSlice({ endpoints: row.endpoints ?? [HERE, THERE] })],
    }
    const plan = planOf(given, row.options)
    const answers = Object.values(CLIENTS).map((from) =>
      answerOf(
        explain(plan, aPacket({ from, to: row.to, ...row.packet }), aWorld(...(row.world ?? []))).outcome,
      ),
    )
    t.deepEqual(answers, [...row.want])
  })
}

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
      'steering: not steered: no route selects this port and nothing asks for the proxy',
    ],
  )
  t.like(match, { service: 'default/web/TCP', client: 'outside' })
})

function answerOf(outcome: Outcome): string {
  if (outcome.kind !== 'forward') return outcome.kind
  const names = outcome.endpoints.map(({ endpoint, masquerade }) => ({
    name: endpoint.local ? 'L' : 'R',
    masquerade,
  }))
  const [first] = names
  if (names.every(({ masquerade }) => masquerade === first?.masquerade))
    return `${names.map(({ name }) => name).join(' ')}${first?.masquerade === true ? ' masq' : ''}`
  return names.map(({ name, masquerade }) => `${name}${masquerade ? ' masq' : ''}`).join(', ')
}
