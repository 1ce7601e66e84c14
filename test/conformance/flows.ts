// The table of flows: what every datapath must do. Settings are the agent's options; each has its scenarios. Expected
// values are written by hand from the parity table, not computed, so that a mistake in the plan cannot hide here.
//
// node1 holds p11, p12, p13; node2 holds p21, p22. Endpoints are p11, p12 and p21; p13 and p22 are clients only. The
// outside client reaches Service addresses through node1.

import { flagOf, type OptionKey } from '#agent/config/options.ts'

import { CLUSTER_CIDRS } from '../support/lab/topology.ts'
import { AFFINITY, SOURCE_RANGES } from './flows-clients.ts'
import { EXTERNAL_LOCAL, INTERNAL_LOCAL, TERMINATING } from './flows-policies.ts'
import { BASIC, EDGES } from './flows-basic.ts'
import {
  answered,
  clusterIp,
  localhostNodePort,
  loadBalancerIp,
  nodePort,
  NODE,
  OUTSIDE,
  POD_HERE,
  refused,
  silent,
  type Scenario,
} from './scenario.ts'

export interface Setting {
  readonly name: string
  /** Options of the agent by key, as text. */
  readonly options: Readonly<Record<string, string>>
  readonly scenarios: readonly Scenario[]
  /** Whether the table is also run with every Service steered. */
  readonly alsoSteered: boolean
}

const DETECT_BY_CLUSTER_CIDR = { detectLocalMode: 'ClusterCIDR', clusterCidr: CLUSTER_CIDRS.join(',') }

const HERE = { name: 'only-here', number: 101, endpoints: [{ pod: 'p11' }] }

export const SETTINGS: readonly Setting[] = [
  {
    name: 'defaults with a cluster CIDR',
    options: DETECT_BY_CLUSTER_CIDR,
    alsoSteered: true,
    scenarios: [
      ...BASIC,
      ...EDGES,
      ...EXTERNAL_LOCAL,
      ...INTERNAL_LOCAL,
      ...TERMINATING,
      ...AFFINITY,
      ...SOURCE_RANGES,
    ],
  },
  {
    name: 'no local detector',
    options: { detectLocalMode: 'none' },
    alsoSteered: false,
    scenarios: [
      {
        name: 'without a detector nobody is masqueraded to a ClusterIP',
        rows: [39, 57],
        service: HERE,
        flows: [
          { from: POD_HERE, to: clusterIp, expect: answered(['p11'], 'client') },
          { from: OUTSIDE, to: clusterIp, expect: answered(['p11'], 'client') },
          { from: OUTSIDE, to: nodePort, expect: answered(['p11'], 'node1') },
        ],
      },
      {
        name: 'without a detector pods get no short-circuit, the host still does',
        rows: [38, 39],
        service: {
          name: 'nodetector-local',
          number: 102,
          endpoints: [{ pod: 'p21' }],
          spec: { externalTrafficPolicy: 'Local' },
        },
        flows: [
          { from: POD_HERE, to: loadBalancerIp, expect: silent },
          { from: NODE, to: loadBalancerIp, expect: answered(['p21'], 'node1') },
        ],
      },
    ],
  },
  {
    name: 'masquerade all',
    options: { ...DETECT_BY_CLUSTER_CIDR, masqueradeAll: 'true' },
    alsoSteered: false,
    scenarios: [
      {
        name: 'with masqueradeAll pods are masqueraded to a ClusterIP',
        rows: [57],
        service: HERE,
        flows: [{ from: POD_HERE, to: clusterIp, expect: answered(['p11'], 'node1') }],
      },
    ],
  },
  {
    name: 'nodePortAddresses of the LAN',
    options: { ...DETECT_BY_CLUSTER_CIDR, nodePortAddresses: '192.168.100.0/24' },
    alsoSteered: true,
    scenarios: [
      {
        name: 'a NodePort answers on listed addresses only',
        rows: [16, 19],
        service: HERE,
        flows: [
          { from: OUTSIDE, to: nodePort, expect: answered(['p11'], 'node1') },
          { from: NODE, to: localhostNodePort, families: ['IPv4'], protocols: ['TCP'], expect: refused },
        ],
      },
    ],
  },
  {
    name: 'no NodePorts on localhost',
    options: { ...DETECT_BY_CLUSTER_CIDR, localhostNodePorts: 'false' },
    alsoSteered: false,
    scenarios: [
      {
        name: 'without localhostNodePorts a loopback NodePort is closed',
        rows: [19],
        service: HERE,
        flows: [
          { from: NODE, to: localhostNodePort, protocols: ['TCP'], expect: refused },
          { from: NODE, to: nodePort, expect: answered(['p11'], 'node1') },
        ],
      },
    ],
  },
]

/** The options of a setting as the agent's command line has them. */
export function flagsOf(setting: Setting): readonly string[] {
  return Object.entries(setting.options).map(([key, value]) => `${flagOf(key as OptionKey)}=${value}`)
}
