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

export interface NodeSpec extends LanAddresses {
  readonly name: PlaceName
  /** 1 for the first node. */
  readonly index: number
  readonly pods: readonly PodSpec[]
  readonly network: PodNetwork
}

/** Addresses on the LAN: /24 and /64. The API calls a node's its InternalIPs. */
export interface LanAddresses {
  readonly lanIpv4: string
  readonly lanIpv6: string
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
  /** The switch's own addresses: everybody's default route. */
  readonly lan: LanAddresses
  readonly client: LanAddresses
  /** A second address of the client, for source ranges and affinity. */
  readonly clientOther: LanAddresses
  readonly nodes: readonly NodeSpec[]
  /** Pod ranges of each node, for routes between nodes and for `--cluster-cidr`. */
  readonly podRanges: Readonly<Record<PlaceName, { readonly ipv4: string; readonly ipv6: string }>>
  /** What the outside client reaches through the first node: Service addresses of every kind. */
  readonly serviceRanges: readonly string[]
}

export const CLIENT: PlaceName = 'client'
export const LAN: PlaceName = 'lan'
const SERVICE_RANGES = [
  '10.96.0.0/12',
  '198.51.100.0/24',
  '203.0.113.0/24',
  'fd96::/64',
  'fd98::/64',
  'fd99::/64',
]

/** All pods of the routed topology. */
export const CLUSTER_CIDRS = ['10.244.0.0/16', 'fd00:244::/32'] as const

/** Two nodes with routed pods: three on the first, two on the second. */
export const ROUTED: Topology = {
  lan: { lanIpv4: '192.168.100.254', lanIpv6: 'fd00:100::fe' },
  client: { lanIpv4: '192.168.100.9', lanIpv6: 'fd00:100::9' },
  clientOther: { lanIpv4: '192.168.100.19', lanIpv6: 'fd00:100::19' },
  nodes: [routedNode(1, ['p11', 'p12', 'p13']), routedNode(2, ['p21', 'p22'])],
  podRanges: {
    node1: { ipv4: '10.244.1.0/24', ipv6: 'fd00:244:1::/64' },
    node2: { ipv4: '10.244.2.0/24', ipv6: 'fd00:244:2::/64' },
  },
  serviceRanges: SERVICE_RANGES,
}

/** minikube's shape: pods on docker0 in 172.17.0.0/16, with the addresses of the tutorial; the client is its host. */
export const MINIKUBE: Topology = {
  lan: { lanIpv4: '192.168.49.254', lanIpv6: 'fd00:49::fe' },
  client: { lanIpv4: '192.168.49.1', lanIpv6: 'fd00:49::1' },
  clientOther: { lanIpv4: '192.168.49.19', lanIpv6: 'fd00:49::19' },
  nodes: [
    {
      name: 'minikube',
      index: 1,
      lanIpv4: '192.168.49.2',
      lanIpv6: 'fd00:49::2',
      network: docker(17),
      pods: [dockerPod(17, 'hello-1', 5), dockerPod(17, 'hello-2', 7), dockerPod(17, 'shell', 9)],
    },
    {
      name: 'minikube-m02',
      index: 2,
      lanIpv4: '192.168.49.3',
      lanIpv6: 'fd00:49::3',
      network: docker(18),
      pods: [dockerPod(18, 'shell-m02', 9)],
    },
  ],
  podRanges: {
    minikube: { ipv4: '172.17.0.0/16', ipv6: 'fd00:172:17::/64' },
    'minikube-m02': { ipv4: '172.18.0.0/16', ipv6: 'fd00:172:18::/64' },
  },
  serviceRanges: SERVICE_RANGES,
}

/** The node's address on the LAN, which the API calls its InternalIP. */
export function nodeAddress(node: NodeSpec, family: 'IPv4' | 'IPv6'): string {
  return family === 'IPv4' ? node.lanIpv4 : node.lanIpv6
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

function routedNode(index: number, pods: readonly string[]): NodeSpec {
  return {
    name: `node${index}`,
    index,
    lanIpv4: `192.168.100.${index}`,
    lanIpv6: `fd00:100::${index}`,
    network: { kind: 'routed', gatewayIpv4: `10.244.${index}.1` },
    pods: pods.map((name, i) => ({
      name,
      ipv4: `10.244.${index}.${11 + i}`,
      ipv6: `fd00:244:${index}::${11 + i}`,
    })),
  }
}

function docker(second: number): PodNetwork {
  return {
    kind: 'bridged',
    bridge: 'docker0',
    gatewayIpv4: `172.${second}.0.1`,
    gatewayIpv6: `fd00:172:${second}::1`,
    prefixIpv4: 16,
  }
}

function dockerPod(second: number, name: PlaceName, last: number): PodSpec {
  return { name, ipv4: `172.${second}.0.${last}`, ipv6: `fd00:172:${second}::${last}` }
}
