// Who is where in a lab, as data: two nodes with pods, one client outside, one LAN switch. Everything dual stack.
//
//   client .9 ─┐                  ┌─ node1 .1 ─┬─ p11 p12 p13   10.244.1.1J  fd00:244:1::1J
//              ├─ lan 192.168.100 ┤            ┘
//              │  fd00:100::/64   └─ node2 .2 ─┬─ p21 p22       10.244.2.1J  fd00:244:2::1J
//
// Pods hang on routed veths (a /32 and a /128 each, as with Calico or the ptp plugin), or on a bridge in hairpin mode
// (as with docker0 or the bridge plugin), where they share one subnet per node.

/** A name of a network namespace of the lab: `client`, `lan`, a node's name or a pod's name. */
export type PlaceName = string

export interface NodeSpec {
  readonly name: PlaceName
  /** 1 or 2: the last octet of its LAN addresses. */
  readonly index: 1 | 2
  readonly pods: readonly PodSpec[]
  readonly network: PodNetwork
}

export interface PodSpec {
  readonly name: PlaceName
  readonly ipv4: string
  readonly ipv6: string
}

export type PodNetwork =
  /** Addresses of the node's end of every pod's veth. */
  | { readonly kind: 'routed'; readonly gatewayIpv4: string }
  | {
      readonly kind: 'bridged'
      readonly bridge: string
      readonly gatewayIpv4: string
      readonly gatewayIpv6: string
      readonly prefixIpv4: number
    }

export interface Topology {
  readonly nodes: readonly NodeSpec[]
  /** Pod ranges of each node, for routes between nodes and for `--cluster-cidr`. */
  readonly podRanges: Readonly<Record<PlaceName, { readonly ipv4: string; readonly ipv6: string }>>
  /** What the outside client reaches through the first node: Service addresses of every kind. */
  readonly serviceRanges: readonly string[]
}

export const CLIENT: PlaceName = 'client'
export const LAN: PlaceName = 'lan'
export const CLIENT_IPV4 = '192.168.100.9'
export const CLIENT_IPV6 = 'fd00:100::9'
/** A second address of the client, for source ranges and affinity. */
export const CLIENT_IPV4_OTHER = '192.168.100.19'
export const CLIENT_IPV6_OTHER = 'fd00:100::19'
export const CLUSTER_CIDRS = ['10.244.0.0/16', 'fd00:244::/32'] as const

const SERVICE_RANGES = [
  '10.96.0.0/12',
  '198.51.100.0/24',
  '203.0.113.0/24',
  'fd96::/64',
  'fd98::/64',
  'fd99::/64',
]

/** Two nodes with routed pods: three on the first, two on the second. */
export const ROUTED: Topology = {
  nodes: [routedNode(1, ['p11', 'p12', 'p13']), routedNode(2, ['p21', 'p22'])],
  podRanges: {
    node1: { ipv4: '10.244.1.0/24', ipv6: 'fd00:244:1::/64' },
    node2: { ipv4: '10.244.2.0/24', ipv6: 'fd00:244:2::/64' },
  },
  serviceRanges: SERVICE_RANGES,
}

/** minikube's shape: the first node's pods on docker0 in 172.17.0.0/16, with the addresses of the tutorial. */
export const MINIKUBE: Topology = {
  nodes: [
    {
      name: 'minikube',
      index: 1,
      network: {
        kind: 'bridged',
        bridge: 'docker0',
        gatewayIpv4: '172.17.0.1',
        gatewayIpv6: 'fd00:172:17::1',
        prefixIpv4: 16,
      },
      pods: [
        { name: 'hello-1', ipv4: '172.17.0.5', ipv6: 'fd00:172:17::5' },
        { name: 'hello-2', ipv4: '172.17.0.7', ipv6: 'fd00:172:17::7' },
        { name: 'shell', ipv4: '172.17.0.9', ipv6: 'fd00:172:17::9' },
      ],
    },
    { ...routedNode(2, ['shell-m02']), name: 'minikube-m02' },
  ],
  podRanges: {
    minikube: { ipv4: '172.17.0.0/16', ipv6: 'fd00:172:17::/64' },
    'minikube-m02': { ipv4: '10.244.2.0/24', ipv6: 'fd00:244:2::/64' },
  },
  serviceRanges: SERVICE_RANGES,
}

/** The node's address on the LAN, which the API calls its InternalIP. */
export function nodeAddress(node: NodeSpec, family: 'IPv4' | 'IPv6'): string {
  return family === 'IPv4' ? `192.168.100.${node.index}` : `fd00:100::${node.index}`
}

/** Every address that a connection masqueraded by this node may carry. */
export function nodeAddresses(node: NodeSpec): readonly string[] {
  const bridge = node.network.kind === 'bridged' ? [node.network.gatewayIpv6] : []
  return [nodeAddress(node, 'IPv4'), nodeAddress(node, 'IPv6'), node.network.gatewayIpv4, ...bridge]
}

/** Places in a fixed order: switch, client, nodes, pods. */
export function placesOf(topology: Topology): readonly PlaceName[] {
  const nodes = topology.nodes.map((node) => node.name)
  const pods = topology.nodes.flatMap((node) => node.pods.map((pod) => pod.name))
  return [LAN, CLIENT, ...nodes, ...pods]
}

function routedNode(index: 1 | 2, pods: readonly string[]): NodeSpec {
  return {
    name: `node${index}`,
    index,
    network: { kind: 'routed', gatewayIpv4: `10.244.${index}.1` },
    pods: pods.map((name, i) => ({
      name,
      ipv4: `10.244.${index}.${11 + i}`,
      ipv6: `fd00:244:${index}::${11 + i}`,
    })),
  }
}
