// Nodes, ServiceCIDRs, routes, lists, and kinds that are only accepted or not read at all.

import test from 'ava'
import { decodeDocument } from '../../../agent/cluster/decode/document.ts'
import { decodeNode } from '../../../agent/cluster/decode/node.ts'
import { decodeRoute } from '../../../agent/cluster/decode/route.ts'

test('a Node’s addresses are its internal ones, then its external ones', (t) => {
  const { value, problems } = decodeNode({
    metadata: { name: 'node-a', labels: { 'topology.kubernetes.io/zone': 'a' } },
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:1::/64'], taints: [{ key: 'x' }] },
    status: {
      addresses: [
        { type: 'Hostname', address: 'node-a' },
        { type: 'ExternalIP', address: '203.0.113.1' },
        { type: 'InternalIP', address: '192.168.49.2' },
        { type: 'InternalIP', address: 'node-a' },
        { type: 'InternalIP', address: 'fd00::2' },
      ],
    },
  })
  t.deepEqual(JSON.parse(JSON.stringify(value)), {
    name: 'node-a',
    addresses: ['192.168.49.2', 'fd00::2', '203.0.113.1'],
    zone: 'a',
    podCidrs: ['10.244.1.0/24', 'fd00:1::/64'],
    taints: ['x'],
    deleting: false,
  })
  t.deepEqual(
    problems.map(({ severity, field }) => `${severity} ${field}`),
    ['warning status.addresses[3].address'],
  )
})

test('a Node that is being deleted says so', (t) => {
  const metadata = { name: 'node-a', deletionTimestamp: '2026-11-22T12:00:00Z' }
  t.true(decodeNode({ metadata }).value?.deleting)
})

test('a route selects the Services among its parents', (t) => {
  const service = { group: '', kind: 'Service', name: 'web' }
  const { value, problems } = decodeRoute('GRPCRoute', {
    metadata: { name: 'canary', namespace: 'prod' },
    spec: {
      parentRefs: [service, { ...service, namespace: 'other', port: 8080 }, { name: 'gateway' }],
      rules: [{ backendRefs: [{ name: 'web-v2', port: 80 }] }],
    },
  })
  t.deepEqual(JSON.parse(JSON.stringify(value)), [
    { kind: 'GRPCRoute', id: 'prod/canary', service: 'prod/web' },
    { kind: 'GRPCRoute', id: 'prod/canary', service: 'other/web', port: 8080 },
  ])
  t.deepEqual(
    problems.map(({ code, severity, field }) => `${code} ${severity} ${field}`),
    ['ROUTE_NOT_APPLIED warning spec.rules'],
  )
})

test('a route of Gateways alone selects nothing and is no problem', (t) => {
  const spec = { parentRefs: [{ name: 'gateway' }] }
  t.deepEqual(decodeRoute('HTTPRoute', { metadata: { name: 'web' }, spec }), { value: [], problems: [] })
})

interface Kinds {
  readonly title: string
  readonly value: unknown
  /** `key good`, or the code of the problem, of each object. */
  readonly gives: readonly string[]
}

const named = (apiVersion: string, kind: string, spec: object = {}): object => {
  return { apiVersion, kind, metadata: { name: 'x' }, ...spec }
}

const NODE = named('v1', 'Node')

const KINDS: readonly Kinds[] = [
  { title: 'a Namespace is accepted', value: named('v1', 'Namespace'), gives: ['Namespace x'] },
  {
    title: 'a ReferenceGrant is accepted',
    value: named('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', { spec: { from: [], to: [] } }),
    gives: ['ReferenceGrant default/x'],
  },
  {
    title: 'a ServiceCIDR is read',
    value: named('networking.k8s.io/v1', 'ServiceCIDR', { spec: { cidrs: ['10.96.0.0/16'] } }),
    gives: ['ServiceCIDR x'],
  },
  {
    title: 'a List gives its items',
    value: { apiVersion: 'v1', kind: 'List', items: [NODE, named('v1', 'Namespace')] },
    gives: ['Node x', 'Namespace x'],
  },
  {
    title: 'a NodeList gives Nodes that do not repeat their kind',
    value: { apiVersion: 'v1', kind: 'NodeList', items: [{ metadata: { name: 'x' } }] },
    gives: ['Node x'],
  },
  {
    title: 'a List of nothing gives nothing',
    value: { apiVersion: 'v1', kind: 'List', items: null },
    gives: [],
  },
  {
    title: 'a List inside a List is refused',
    value: { kind: 'List', items: [{ kind: 'List', items: [] }] },
    gives: ['OBJECT_INVALID error items[0]'],
  },
  { title: 'a Pod is not read', value: named('v1', 'Pod'), gives: ['OBJECT_UNKNOWN warning kind'] },
  {
    title: 'a Deployment is not read',
    value: named('apps/v1', 'Deployment'),
    gives: ['OBJECT_UNKNOWN warning kind'],
  },
  {
    title: 'a kind of ours is read',
    value: named('shunt.dev/v1alpha1', 'TrafficPolicy', { spec: { targetRefs: [{ name: 'web' }] } }),
    gives: ['TrafficPolicy default/x'],
  },
  {
    title: 'a kind of ours in another group is not',
    value: named('example.org/v1alpha1', 'TrafficPolicy'),
    gives: ['OBJECT_UNKNOWN warning apiVersion'],
  },
  {
    title: 'another group’s Service is not ours',
    value: named('serving.knative.dev/v1', 'Service'),
    gives: ['OBJECT_UNKNOWN warning apiVersion'],
  },
  { title: 'an empty document is nothing', value: null, gives: [] },
]

for (const { title, value, gives } of KINDS) {
  test(title, (t) => {
    const said = decodeDocument(value).map(({ key, problems: [problem] }) => {
      return problem === undefined ? (key ?? '') : `${problem.code} ${problem.severity} ${problem.field}`
    })
    t.deepEqual(said, gives)
  })
}
