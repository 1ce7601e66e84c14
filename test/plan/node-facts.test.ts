// Rows 16, 17, 19, 64: NodePort addresses and the local detector, resolved for each family.

import test from 'ava'
import { nodeFacts } from '#agent/plan/node-facts.ts'
import type { NodePortAddresses, PlanOptions } from '#agent/plan/plan.ts'
import { aNode, cidr, someOptions } from '../support/build.ts'

const RANGES = ['192.168.0.0/24', '172.30.0.0/16', '127.0.0.0/8'].map(cidr)

const facts = (
  family: 'IPv4' | 'IPv6',
  options: Partial<PlanOptions>,
  node: ReturnType<typeof aNode> | undefined = aNode(),
) => nodeFacts(family, { node, serviceCidrs: [] }, someOptions(options))

interface Row {
  readonly it: string
  readonly options: Partial<PlanOptions>
  readonly v4: string
  readonly v6: string
}

const ROWS: readonly Row[] = [
  {
    it: 'row 17: all local by default in the iptables column, loopback for IPv4',
    options: {},
    v4: 'all +lo',
    v6: 'all',
  },
  {
    it: 'row 19: loopback can be switched off',
    options: { localhostNodePorts: false },
    v4: 'all',
    v6: 'all',
  },
  {
    it: 'row 17: the primary addresses by default in the nftables column',
    options: { semantics: 'nftables' },
    v4: '192.168.0.10/32',
    v6: 'fd00:168::10/128',
  },
  {
    it: 'row 16: the word primary',
    options: { nodePortAddresses: { kind: 'primary' } },
    v4: '192.168.0.10/32 +lo',
    v6: 'fd00:168::10/128',
  },
  {
    it: 'row 16: ranges of one family leave the other open',
    options: { nodePortAddresses: { kind: 'cidrs', cidrs: RANGES } },
    v4: '127.0.0.0/8 172.30.0.0/16 192.168.0.0/24 +lo',
    v6: 'all',
  },
  {
    it: 'row 16: a range of everything makes the others moot',
    options: { nodePortAddresses: { kind: 'cidrs', cidrs: [...RANGES, cidr('0.0.0.0/0')] } },
    v4: 'all +lo',
    v6: 'all',
  },
  {
    it: 'row 17: listed ranges in the nftables column never have loopback',
    options: { semantics: 'nftables', nodePortAddresses: { kind: 'cidrs', cidrs: RANGES } },
    v4: '127.0.0.0/8 172.30.0.0/16 192.168.0.0/24',
    v6: 'all',
  },
]

for (const row of ROWS) {
  test(row.it, (t) => {
    t.is(textOf(facts('IPv4', row.options).nodePortAddresses), row.v4)
    t.is(textOf(facts('IPv6', row.options).nodePortAddresses), row.v6)
  })
}

test('primary answers nowhere while the Node is not known', (t) => {
  const made = nodeFacts(
    'IPv4',
    { node: undefined, serviceCidrs: [] },
    someOptions({ semantics: 'nftables' }),
  )
  t.deepEqual(made.nodePortAddresses, { kind: 'within', cidrs: [], loopback: false })
})

test('row 64: the first range of each family tells Pods; a family without one has no detector', (t) => {
  const cidrs = ['10.244.0.0/16', '10.245.0.0/16'].map(cidr)
  const options: Partial<PlanOptions> = { localDetector: { kind: 'clusterCidr', cidrs } }
  t.deepEqual(facts('IPv4', options).localDetector, { kind: 'cidr', cidr: cidr('10.244.0.0/16') })
  t.deepEqual(facts('IPv6', options).localDetector, { kind: 'none' })
})

test('row 64: nodeCidr takes the Node’s ranges, and none while it has none', (t) => {
  const options: Partial<PlanOptions> = { localDetector: { kind: 'nodeCidr' } }
  t.deepEqual(facts('IPv6', options).localDetector, { kind: 'cidr', cidr: cidr('fd00:244:1::/64') })
  t.deepEqual(facts('IPv4', options, aNode({ podCidrs: [] })).localDetector, { kind: 'none' })
})

test('addresses by family, primary first; ServiceCIDRs by family, sorted', (t) => {
  const node = aNode({ addresses: ['192.168.0.10', 'fd00:168::10', '10.0.0.1', '192.168.0.10'] })
  const serviceCidrs = ['10.97.0.0/16', 'fd00:96::/112', '10.96.0.0/16'].map(cidr)
  const made = nodeFacts('IPv4', { node, serviceCidrs }, someOptions())
  t.deepEqual(made.nodeAddresses.map(String), ['192.168.0.10', '10.0.0.1'])
  t.deepEqual(made.serviceCidrs.map(String), ['10.96.0.0/16', '10.97.0.0/16'])
})

function textOf(addresses: NodePortAddresses): string {
  const where = addresses.kind === 'allLocal' ? 'all' : addresses.cidrs.join(' ')
  return `${where}${addresses.loopback ? ' +lo' : ''}`
}
