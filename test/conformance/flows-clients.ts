// Flows in which it matters who the client is: session affinity and load balancer source ranges.

import { ROUTED } from '../support/lab/topology.ts'
import {
  answered,
  clusterIp,
  externalIp,
  loadBalancerIp,
  nodePort,
  NODE,
  OUTSIDE,
  POD_HERE,
  refused,
  silent,
  type Expectation,
  type Scenario,
  type SourceSeen,
} from './scenario.ts'

const { lanIpv4: CLIENT_IPV4, lanIpv6: CLIENT_IPV6 } = ROUTED.client
const ALL = ['p11', 'p12', 'p21']
const ENDPOINTS = ALL.map((pod) => ({ pod }))

export const AFFINITY: readonly Scenario[] = [
  {
    name: 'a client with affinity stays with its endpoint',
    rows: [49, 50],
    service: {
      name: 'sticky',
      number: 50,
      endpoints: ENDPOINTS,
      spec: {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
      },
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: sticky(ALL, 'client'), whenSteered: sticky(ALL, 'node1') },
      { from: NODE, to: clusterIp, expect: sticky(ALL, 'node1') },
      { from: OUTSIDE, to: nodePort, expect: sticky(ALL, 'node1') },
      { from: OUTSIDE, to: nodePort, otherSource: true, expect: sticky(ALL, 'node1') },
      { from: OUTSIDE, to: loadBalancerIp, expect: sticky(ALL, 'node1') },
    ],
  },
  {
    name: 'affinity looks at the local set where the policy is Local',
    rows: [52],
    service: {
      name: 'stickylocal',
      number: 51,
      endpoints: ENDPOINTS,
      spec: { sessionAffinity: 'ClientIP', externalTrafficPolicy: 'Local' },
    },
    flows: [
      {
        from: OUTSIDE,
        to: nodePort,
        expect: sticky(['p11', 'p12'], 'client'),
        whenSteered: sticky(['p11', 'p12'], 'node1'),
      },
    ],
  },
]

export const SOURCE_RANGES: readonly Scenario[] = [
  {
    name: 'source ranges guard the load balancer address alone',
    rows: [24],
    service: {
      name: 'ranges',
      number: 60,
      endpoints: [{ pod: 'p11' }, { pod: 'p21' }],
      spec: { loadBalancerSourceRanges: [` ${CLIENT_IPV4}/32`, `${CLIENT_IPV6}/128 `] },
    },
    flows: [
      { from: OUTSIDE, to: loadBalancerIp, expect: answered(['p11', 'p21'], 'node1') },
      { from: OUTSIDE, to: loadBalancerIp, otherSource: true, expect: silent },
      { from: POD_HERE, to: loadBalancerIp, expect: silent },
      { from: OUTSIDE, to: externalIp, otherSource: true, expect: answered(['p11', 'p21'], 'node1') },
      { from: OUTSIDE, to: nodePort, otherSource: true, expect: answered(['p11', 'p21'], 'node1') },
      { from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p21'], 'client') },
    ],
  },
  {
    name: 'a range of all addresses is no guard',
    rows: [26],
    service: {
      name: 'rangezero',
      number: 61,
      endpoints: [{ pod: 'p11' }],
      spec: { loadBalancerSourceRanges: [`${CLIENT_IPV4}/32`, '0.0.0.0/0', '::/0'] },
    },
    flows: [
      { from: OUTSIDE, to: loadBalancerIp, otherSource: true, expect: answered(['p11'], 'node1') },
      { from: POD_HERE, to: loadBalancerIp, expect: answered(['p11'], 'node1') },
    ],
  },
  {
    name: 'ranges without endpoints refuse everybody',
    rows: [27],
    service: {
      name: 'rangeempty',
      number: 62,
      endpoints: [],
      spec: { loadBalancerSourceRanges: [`${CLIENT_IPV4}/32`, `${CLIENT_IPV6}/128`] },
    },
    flows: [
      { from: OUTSIDE, to: loadBalancerIp, expect: refused },
      { from: OUTSIDE, to: loadBalancerIp, otherSource: true, expect: refused },
    ],
  },
]

function sticky(oneOf: readonly string[], source: SourceSeen): Expectation {
  return { kind: 'sticky', oneOf, source }
}
