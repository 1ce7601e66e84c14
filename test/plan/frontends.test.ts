// Rows 2, 5, 14, 21 to 26, 40: which addresses a Service port has, in which order, and who may use them.

import test from 'ava'
import { addressesOf, effectiveExternalPolicy, sourceFilterOf } from '#agent/plan/frontends.ts'
import type { Family } from '#agent/model/ip.ts'
import { aService, ip, type ServiceText } from '../support/build.ts'

interface Row {
  readonly rows: string
  readonly it: string
  readonly service: ServiceText
  readonly family?: Family
  readonly allowExternalIps?: boolean
  readonly want: readonly string[]
}

const ROWS: readonly Row[] = [
  { rows: '14', it: 'has a ClusterIP', service: {}, want: ['ClusterIP 10.96.0.10 80'] },
  {
    rows: '14, 15, 21, 22',
    it: 'lists ClusterIP, external IPs, load balancer IPs and NodePort, each kind by number',
    service: {
      externalIps: ['203.0.113.10', '203.0.113.9'],
      loadBalancer: ['198.51.100.20', '198.51.100.3'],
      ports: [{ nodePort: 30080 }],
    },
    want: [
      'ClusterIP 10.96.0.10 80',
      'ExternalIP 203.0.113.9 80',
      'ExternalIP 203.0.113.10 80',
      'LoadBalancerIP 198.51.100.3 80',
      'LoadBalancerIP 198.51.100.20 80',
      'NodePort node 30080',
    ],
  },
  {
    rows: '5',
    it: 'has only addresses of the family',
    family: 'IPv6',
    service: {
      clusterIps: ['10.96.0.10', 'fd00:96::10'],
      externalIps: ['203.0.113.1', 'fd00:203::1'],
      loadBalancer: ['198.51.100.1', 'fd00:198::1'],
    },
    want: ['ClusterIP fd00:96::10 80', 'ExternalIP fd00:203::1 80', 'LoadBalancerIP fd00:198::1 80'],
  },
  {
    rows: '5',
    it: 'has nothing in a family without a ClusterIP',
    family: 'IPv6',
    service: { externalIps: ['fd00:203::1'], ports: [{ nodePort: 30080 }] },
    want: [],
  },
  { rows: '2', it: 'has nothing without any ClusterIP', service: { clusterIps: [] }, want: [] },
  {
    rows: '21',
    it: 'has no entry of mode Proxy',
    service: { loadBalancer: ['198.51.100.1 Proxy', '198.51.100.2'] },
    want: ['ClusterIP 10.96.0.10 80', 'LoadBalancerIP 198.51.100.2 80'],
  },
  {
    rows: '22',
    it: 'takes an address that is both for an external IP',
    service: { externalIps: ['203.0.113.1', '203.0.113.1'], loadBalancer: ['203.0.113.1'] },
    want: ['ClusterIP 10.96.0.10 80', 'ExternalIP 203.0.113.1 80'],
  },
  {
    rows: '22',
    it: 'takes it for a load balancer IP when external IPs are switched off',
    service: { externalIps: ['203.0.113.1'], loadBalancer: ['203.0.113.1'] },
    allowExternalIps: false,
    want: ['ClusterIP 10.96.0.10 80', 'LoadBalancerIP 203.0.113.1 80'],
  },
  {
    rows: '22',
    it: 'has its ClusterIP once, also when it is an external IP',
    service: { externalIps: ['10.96.0.10'] },
    want: ['ClusterIP 10.96.0.10 80'],
  },
]

for (const row of ROWS) {
  test(`row ${row.rows}: ${row.it}`, (t) => {
    const service = aService(row.service)
    const [port] = service.ports
    if (port === undefined) return t.fail('no port')
    const options = { allowExternalIps: row.allowExternalIps ?? true }
    const got = addressesOf(service, port, row.family ?? 'IPv4', options)
    t.deepEqual(
      got.map((address) => `${address.kind} ${address.ip ?? 'node'} ${address.port}`),
      [...row.want],
    )
  })
}

const INSIDE = { semantics: 'iptables', hasEndpoints: true, nodeIp: ip('192.168.0.10') } as const

test('rows 24, 26: ranges of the family, each once and sorted', (t) => {
  const service = aService({ sourceRanges: ['9.0.0.0/8', '8.0.0.0/8', 'fd00::/16', '9.0.0.0/8'] })
  t.deepEqual(sourceFilterOf(service, 'IPv4', INSIDE)?.cidrs.map(String), ['8.0.0.0/8', '9.0.0.0/8'])
  t.deepEqual(sourceFilterOf(service, 'IPv6', INSIDE)?.cidrs.map(String), ['fd00::/16'])
})

test('row 25: the Service’s own load balancer IPs pass if the node is in the ranges', (t) => {
  const service = aService({
    sourceRanges: ['192.168.0.0/24'],
    loadBalancer: ['198.51.100.2', '198.51.100.1', 'fd00:198::1', '198.51.100.3 Proxy'],
  })
  const selfIps = (nodeIp: string | undefined): string[] | undefined =>
    sourceFilterOf(service, 'IPv4', {
      ...INSIDE,
      nodeIp: nodeIp === undefined ? undefined : ip(nodeIp),
    })?.selfIps.map(String)
  t.deepEqual(selfIps('192.168.0.10'), ['198.51.100.1', '198.51.100.2'])
  t.deepEqual(selfIps('192.168.1.10'), [])
  t.deepEqual(selfIps(undefined), [])
})

test('row 27: without endpoints only the nftables column filters', (t) => {
  const service = aService({ sourceRanges: ['9.0.0.0/8'] })
  t.is(sourceFilterOf(service, 'IPv4', { ...INSIDE, hasEndpoints: false }), undefined)
  t.truthy(sourceFilterOf(service, 'IPv4', { ...INSIDE, hasEndpoints: false, semantics: 'nftables' }))
})

test('row 40: the external policy counts where the API means it', (t) => {
  const policy = (text: ServiceText): string =>
    effectiveExternalPolicy(aService({ externalTrafficPolicy: 'Local', ...text }))
  t.is(policy({ type: 'ClusterIP' }), 'Cluster')
  t.is(policy({ type: 'ClusterIP', externalIps: ['203.0.113.1'] }), 'Local')
  t.is(policy({ type: 'NodePort' }), 'Local')
  t.is(policy({ type: 'LoadBalancer' }), 'Local')
})
