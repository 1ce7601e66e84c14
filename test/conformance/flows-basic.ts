// Flows of Services with Cluster policies: every kind of client to every kind of address, and the edges of what is a
// Service address at all.

import {
  answered,
  clusterIp,
  externalIp,
  loadBalancerIp,
  localhostNodePort,
  NODE,
  nodePort,
  nodePortElsewhere,
  OUTSIDE,
  POD_ELSEWHERE,
  POD_HERE,
  refused,
  untouched,
  type Scenario,
} from './scenario.ts'

const ALL = ['p11', 'p12', 'p21']
const ENDPOINTS = ALL.map((pod) => ({ pod }))

export const BASIC: readonly Scenario[] = [
  {
    name: 'three endpoints on two nodes',
    rows: [14, 15, 19, 21, 22, 32, 57, 58, 59, 60],
    service: { name: 'basic', number: 1, endpoints: ENDPOINTS },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: answered(ALL, 'client') },
      {
        from: POD_ELSEWHERE,
        to: clusterIp,
        expect: answered(ALL, 'client'),
        whenSteered: answered(ALL, 'node2'),
      },
      { from: NODE, to: clusterIp, expect: answered(ALL, 'node1') },
      { from: OUTSIDE, to: clusterIp, expect: answered(ALL, 'node1') },
      { from: 'p11', to: clusterIp, expect: answered(ALL, 'client', 'node1') },
      { from: POD_HERE, to: nodePort, expect: answered(ALL, 'node1') },
      { from: POD_ELSEWHERE, to: nodePort, expect: answered(ALL, 'node1') },
      { from: NODE, to: nodePort, expect: answered(ALL, 'node1') },
      { from: OUTSIDE, to: nodePort, expect: answered(ALL, 'node1') },
      { from: OUTSIDE, to: nodePortElsewhere, expect: answered(ALL, 'node2') },
      { from: 'p11', to: nodePort, expect: answered(ALL, 'node1') },
      { from: NODE, to: localhostNodePort, families: ['IPv4'], expect: answered(ALL, 'node1') },
      { from: NODE, to: localhostNodePort, families: ['IPv6'], expect: refused },
      { from: POD_HERE, to: externalIp, expect: answered(ALL, 'node1') },
      { from: POD_ELSEWHERE, to: externalIp, expect: answered(ALL, 'node2') },
      { from: NODE, to: externalIp, expect: answered(ALL, 'node1') },
      { from: OUTSIDE, to: externalIp, expect: answered(ALL, 'node1') },
      { from: 'p11', to: externalIp, expect: answered(ALL, 'node1') },
      { from: POD_HERE, to: loadBalancerIp, expect: answered(ALL, 'node1') },
      { from: POD_ELSEWHERE, to: loadBalancerIp, expect: answered(ALL, 'node2') },
      { from: NODE, to: loadBalancerIp, expect: answered(ALL, 'node1') },
      { from: OUTSIDE, to: loadBalancerIp, expect: answered(ALL, 'node1') },
      { from: 'p11', to: loadBalancerIp, expect: answered(ALL, 'node1') },
    ],
  },
  {
    name: 'a pod that is the only endpoint reaches itself',
    rows: [59],
    service: { name: 'itself', number: 2, endpoints: [{ pod: 'p11' }] },
    flows: [
      { from: 'p11', to: clusterIp, expect: answered(['p11'], 'node1') },
      { from: 'p11', to: nodePort, expect: answered(['p11'], 'node1') },
      { from: 'p11', to: externalIp, expect: answered(['p11'], 'node1') },
      { from: 'p11', to: loadBalancerIp, expect: answered(['p11'], 'node1') },
    ],
  },
  {
    name: 'equal shares',
    rows: [46],
    service: { name: 'shares', number: 3, endpoints: ENDPOINTS },
    flows: (['IPv4', 'IPv6'] as const).map((family) => ({
      from: POD_HERE,
      to: clusterIp,
      families: [family],
      protocols: ['TCP'],
      count: 3000,
      // The standard deviation of a share is 0.86 points: a uniform draw misses 4 points about once in 100,000 runs.
      expect: { kind: 'shares', by: ALL, withinPoints: 4, source: 'client' },
      whenSteered: { kind: 'shares', by: ALL, withinPoints: 4, source: 'node1' },
    })),
  },
  {
    name: 'no endpoints at all',
    rows: [54, 56],
    service: { name: 'empty', number: 4, endpoints: [] },
    flows: [
      ...[POD_HERE, POD_ELSEWHERE, NODE, OUTSIDE].map((from) => ({ from, to: clusterIp, expect: refused })),
      ...[POD_HERE, POD_ELSEWHERE, NODE, OUTSIDE].map((from) => ({ from, to: nodePort, expect: refused })),
      ...[POD_HERE, POD_ELSEWHERE, OUTSIDE].flatMap((from) => [
        { from, to: externalIp, expect: refused },
        { from, to: loadBalancerIp, expect: refused },
      ]),
      // The iptables column of row 56: the host's own packets to external addresses leave the node.
      { from: NODE, to: externalIp, expect: untouched },
      { from: NODE, to: loadBalancerIp, expect: untouched },
    ],
  },
  {
    name: 'only an endpoint that is not ready',
    rows: [34, 54],
    service: { name: 'unready', number: 5, endpoints: [{ pod: 'p11', ready: false }] },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: refused },
      { from: OUTSIDE, to: nodePort, expect: refused },
    ],
  },
]

export const EDGES: readonly Scenario[] = [
  {
    name: 'ports of a Service are told apart, and go where the slice says',
    rows: [6, 7, 10],
    service: {
      name: 'ports',
      number: 10,
      endpoints: [{ pod: 'p11' }, { pod: 'p21' }],
      ports: [
        { name: 'a', protocol: 'TCP', port: 80, endpointPort: 8081 },
        { name: 'b', protocol: 'TCP', port: 443, endpointPort: 8082, nodePortOffset: 200 },
        { name: 'c', protocol: 'UDP', port: 80, endpointPort: 8082 },
      ],
    },
    flows: [
      {
        from: POD_HERE,
        to: clusterIp,
        protocols: ['TCP'],
        expect: answered(['p11:8081', 'p21:8081'], 'client'),
      },
      {
        from: POD_HERE,
        to: clusterIp,
        port: 443,
        protocols: ['TCP'],
        expect: answered(['p11:8082', 'p21:8082'], 'client'),
      },
      {
        from: POD_HERE,
        to: clusterIp,
        protocols: ['UDP'],
        expect: answered(['p11:8082', 'p21:8082'], 'client'),
      },
      {
        from: OUTSIDE,
        to: { kind: 'nodePort', node: NODE, offset: 200 },
        protocols: ['TCP'],
        expect: answered(['p11:8082', 'p21:8082'], 'node1'),
      },
    ],
  },
  {
    name: 'another port of a ClusterIP is nobody’s business',
    rows: [29],
    service: { name: 'otherport', number: 11, endpoints: [{ pod: 'p11' }] },
    flows: [
      { from: POD_HERE, to: clusterIp, port: 81, expect: untouched },
      { from: NODE, to: clusterIp, port: 81, expect: untouched },
      { from: POD_HERE, to: externalIp, port: 81, expect: untouched },
    ],
  },
  {
    name: 'a load balancer in Proxy mode keeps its packets',
    rows: [21],
    service: { name: 'lbproxy', number: 12, endpoints: [{ pod: 'p11' }], ipMode: 'Proxy' },
    flows: [
      { from: POD_HERE, to: loadBalancerIp, expect: untouched },
      { from: NODE, to: loadBalancerIp, expect: untouched },
      { from: POD_HERE, to: clusterIp, expect: answered(['p11'], 'client') },
    ],
  },
  {
    name: 'a Service of another proxy is left alone',
    rows: [1],
    service: {
      name: 'foreign',
      number: 13,
      endpoints: [{ pod: 'p11' }],
      labels: { 'service.kubernetes.io/service-proxy-name': 'somebody-else' },
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: untouched },
      { from: OUTSIDE, to: nodePort, expect: refused },
    ],
  },
  {
    name: 'a Service of one family has nothing in the other',
    rows: [5],
    service: { name: 'v4only', number: 14, families: ['IPv4'], endpoints: [{ pod: 'p11' }] },
    flows: [
      { from: POD_HERE, to: clusterIp, families: ['IPv4'], expect: answered(['p11'], 'client') },
      { from: OUTSIDE, to: nodePort, families: ['IPv4'], expect: answered(['p11'], 'node1') },
      { from: OUTSIDE, to: nodePort, families: ['IPv6'], expect: refused },
    ],
  },
  {
    name: 'zone hints keep traffic in the zone',
    rows: [41],
    service: {
      name: 'hints',
      number: 15,
      endpoints: [
        { pod: 'p11', zoneHints: ['zone-a'] },
        { pod: 'p12', zoneHints: ['zone-a'] },
        { pod: 'p21', zoneHints: ['zone-b'] },
      ],
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p12'], 'client') },
      {
        from: POD_ELSEWHERE,
        to: clusterIp,
        expect: answered(['p21'], 'client'),
        whenSteered: answered(['p21'], 'node2'),
      },
      { from: OUTSIDE, to: nodePort, expect: answered(['p11', 'p12'], 'node1') },
    ],
  },
  {
    name: 'one endpoint without a hint switches hints off',
    rows: [41],
    service: {
      name: 'halfhints',
      number: 16,
      endpoints: [{ pod: 'p11', zoneHints: ['zone-a'] }, { pod: 'p21' }],
    },
    flows: [{ from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p21'], 'client') }],
  },
]
