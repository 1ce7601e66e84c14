// Flows of traffic policies and of terminating endpoints.

import {
  answered,
  clusterIp,
  externalIp,
  loadBalancerIp,
  NODE,
  nodePort,
  nodePortElsewhere,
  OUTSIDE,
  POD_ELSEWHERE,
  POD_HERE,
  refused,
  silent,
  type Scenario,
} from './scenario.ts'

const LOCAL = { externalTrafficPolicy: 'Local' }

export const EXTERNAL_LOCAL: readonly Scenario[] = [
  {
    name: 'external policy Local with endpoints on both nodes',
    rows: [36, 37, 38, 52, 58, 65],
    service: { name: 'elocal', number: 20, endpoints: [{ pod: 'p11' }, { pod: 'p21' }], spec: LOCAL },
    flows: [
      ...[nodePort, externalIp, loadBalancerIp].flatMap((to) => [
        { from: OUTSIDE, to, expect: answered(['p11'], 'client') },
        { from: POD_HERE, to, expect: answered(['p11', 'p21'], 'client') },
        { from: NODE, to, expect: answered(['p11', 'p21'], 'node1') },
      ]),
      {
        from: OUTSIDE,
        to: nodePortElsewhere,
        expect: answered(['p21'], 'client'),
        whenSteered: answered(['p21'], 'node2'),
      },
      { from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p21'], 'client') },
      { from: OUTSIDE, to: clusterIp, expect: answered(['p11', 'p21'], 'node1') },
      // Another node's pod is a pod too (cluster CIDR), so it gets every endpoint, its own address kept.
      {
        from: POD_ELSEWHERE,
        to: externalIp,
        expect: answered(['p11', 'p21'], 'client'),
        whenSteered: answered(['p11', 'p21'], 'node2'),
      },
    ],
  },
  {
    name: 'external policy Local, and a pod that is the local endpoint reaches itself',
    rows: [37, 59],
    service: { name: 'elocalself', number: 21, endpoints: [{ pod: 'p11' }], spec: LOCAL },
    flows: [
      { from: 'p11', to: nodePort, expect: answered(['p11'], 'node1') },
      { from: 'p11', to: loadBalancerIp, expect: answered(['p11'], 'node1') },
    ],
  },
  {
    name: 'external policy Local with no endpoint here',
    rows: [36, 37, 38, 55],
    service: { name: 'eelsewhere', number: 22, endpoints: [{ pod: 'p21' }], spec: LOCAL },
    flows: [
      { from: OUTSIDE, to: nodePort, expect: silent },
      { from: OUTSIDE, to: externalIp, expect: silent },
      { from: OUTSIDE, to: loadBalancerIp, expect: silent },
      {
        from: OUTSIDE,
        to: nodePortElsewhere,
        expect: answered(['p21'], 'client'),
        whenSteered: answered(['p21'], 'node2'),
      },
      // Not steered on node1, because an outside client must meet the kernel's silence there.
      { from: POD_HERE, to: nodePort, expect: answered(['p21'], 'client'), whenSteered: 'same' },
      { from: POD_HERE, to: loadBalancerIp, expect: answered(['p21'], 'client'), whenSteered: 'same' },
      { from: NODE, to: loadBalancerIp, expect: answered(['p21'], 'node1') },
      { from: POD_HERE, to: clusterIp, expect: answered(['p21'], 'client') },
    ],
  },
  {
    name: 'external policy Local with no endpoint anywhere',
    rows: [54],
    service: { name: 'elocalempty', number: 23, endpoints: [], spec: LOCAL },
    flows: [
      { from: OUTSIDE, to: nodePort, expect: refused },
      { from: OUTSIDE, to: loadBalancerIp, expect: refused },
      { from: POD_HERE, to: loadBalancerIp, expect: refused },
    ],
  },
]

export const INTERNAL_LOCAL: readonly Scenario[] = [
  {
    name: 'internal policy Local with endpoints on both nodes',
    rows: [35],
    service: {
      name: 'ilocal',
      number: 30,
      endpoints: [{ pod: 'p11' }, { pod: 'p12' }, { pod: 'p21' }],
      spec: { internalTrafficPolicy: 'Local' },
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p12'], 'client') },
      {
        from: POD_ELSEWHERE,
        to: clusterIp,
        expect: answered(['p21'], 'client'),
        whenSteered: answered(['p21'], 'node2'),
      },
      { from: NODE, to: clusterIp, expect: answered(['p11', 'p12'], 'node1') },
      { from: OUTSIDE, to: clusterIp, expect: answered(['p11', 'p12'], 'node1') },
      { from: OUTSIDE, to: nodePort, expect: answered(['p11', 'p12', 'p21'], 'node1') },
    ],
  },
  {
    name: 'internal policy Local with no endpoint here',
    rows: [35, 55],
    service: {
      name: 'ielsewhere',
      number: 31,
      endpoints: [{ pod: 'p21' }],
      spec: { internalTrafficPolicy: 'Local' },
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: silent },
      { from: NODE, to: clusterIp, expect: silent },
      { from: OUTSIDE, to: clusterIp, expect: silent },
      {
        from: POD_ELSEWHERE,
        to: clusterIp,
        expect: answered(['p21'], 'client'),
        whenSteered: answered(['p21'], 'node2'),
      },
      { from: OUTSIDE, to: nodePort, expect: answered(['p21'], 'node1') },
    ],
  },
]

const SERVING = { ready: false, serving: true, terminating: true }
const GONE = { ready: false, serving: false, terminating: true }

export const TERMINATING: readonly Scenario[] = [
  {
    name: 'terminating endpoints serve while none is ready',
    rows: [32, 34],
    service: {
      name: 'term',
      number: 40,
      endpoints: [
        { pod: 'p11', ...SERVING },
        { pod: 'p21', ...SERVING },
        { pod: 'p12', ...GONE },
      ],
    },
    flows: [
      { from: POD_HERE, to: clusterIp, expect: answered(['p11', 'p21'], 'client') },
      { from: OUTSIDE, to: nodePort, expect: answered(['p11', 'p21'], 'node1') },
    ],
  },
  {
    name: 'a ready endpoint ends the use of terminating ones',
    rows: [32],
    service: { name: 'termready', number: 41, endpoints: [{ pod: 'p11', ...SERVING }, { pod: 'p21' }] },
    flows: [{ from: POD_HERE, to: clusterIp, expect: answered(['p21'], 'client') }],
  },
  {
    name: 'the local set falls back on its own',
    rows: [33],
    service: {
      name: 'termlocal',
      number: 42,
      endpoints: [{ pod: 'p11', ...SERVING }, { pod: 'p21' }],
      spec: LOCAL,
    },
    flows: [
      { from: OUTSIDE, to: nodePort, expect: answered(['p11'], 'client') },
      { from: POD_HERE, to: clusterIp, expect: answered(['p21'], 'client') },
    ],
  },
]
