// Turns a topology into the commands that build it: one `ip -batch` that makes namespaces and cables, one more for
// each namespace, and sysctls. Pure: text in, text out.

import {
  CLIENT,
  LAN,
  nodeAddress,
  placesOf,
  type LanAddresses,
  type NodeSpec,
  type PlaceName,
  type PodSpec,
  type Topology,
} from './topology.ts'

export interface Wiring {
  /** For `ip -batch` in the namespace that the tests run in. */
  readonly cables: string
  /** For `ip -n NAMESPACE -batch`, by place. */
  readonly inside: ReadonlyMap<PlaceName, string>
  /** `key=value` settings of each node. */
  readonly sysctls: ReadonlyMap<PlaceName, readonly string[]>
}

/** @param namespaceOf the real name of a place's namespace */
export function wire(topology: Topology, namespaceOf: (place: PlaceName) => string): Wiring {
  const cables = placesOf(topology).map((place) => `netns add ${namespaceOf(place)}`)
  const inside = new Map<PlaceName, string[]>(placesOf(topology).map((place) => [place, ['link set lo up']]))
  const say = (place: PlaceName, ...lines: string[]): void => void inside.get(place)?.push(...lines)
  const cable = (a: PlaceName, aDevice: string, b: PlaceName, bDevice: string): void => {
    cables.push(
      `link add ${aDevice} netns ${namespaceOf(a)} type veth peer name ${bDevice} netns ${namespaceOf(b)}`,
    )
  }
  say(LAN, 'link add sw type bridge', 'link set sw up')
  say(LAN, ...addresses(topology.lan, 'sw'))
  const plug = (place: PlaceName, own: LanAddresses): void => {
    cable(place, 'eth0', LAN, `v-${place}`.slice(0, 15))
    say(LAN, `link set ${`v-${place}`.slice(0, 15)} master sw up`)
    say(place, ...addresses(own, 'eth0'), 'link set eth0 up')
  }

  plug(CLIENT, topology.client)
  // Never chosen as a source by itself.
  say(CLIENT, ...addresses(topology.clientOther, 'eth0').map((line) => `${line} preferred_lft 0`))
  const first = topology.nodes[0]
  for (const range of first === undefined ? [] : topology.serviceRanges) {
    say(
      CLIENT,
      `route add ${range} via ${nodeAddress(first as NodeSpec, range.includes(':') ? 'IPv6' : 'IPv4')}`,
    )
  }
  for (const node of topology.nodes) {
    plug(node.name, node)
    if (node.network.kind === 'bridged') sayBridge(node, say)
    for (const pod of node.pods) {
      cable(node.name, podDevice(pod), pod.name, 'eth0')
      if (node.network.kind === 'bridged') sayBridgedPod(node, pod, say)
      else sayRoutedPod(node, pod, say)
    }
    // Without a default route a node process gets ENETUNREACH before OUTPUT could translate the destination.
    say(
      node.name,
      `route add default via ${topology.lan.lanIpv4}`,
      `route add default via ${topology.lan.lanIpv6}`,
    )
    for (const other of topology.nodes) {
      const range = topology.podRanges[other.name]
      if (other === node || range === undefined) continue
      say(node.name, `route add ${range.ipv4} via ${nodeAddress(other, 'IPv4')}`)
      say(node.name, `route add ${range.ipv6} via ${nodeAddress(other, 'IPv6')}`)
    }
  }
  // Replies to pods that talk to the LAN unmasqueraded, as in a cluster whose routers know the pod ranges.
  for (const node of topology.nodes) {
    const range = topology.podRanges[node.name]
    if (range === undefined) continue
    for (const place of [CLIENT, LAN]) {
      say(place, `route add ${range.ipv4} via ${nodeAddress(node, 'IPv4')}`)
      say(place, `route add ${range.ipv6} via ${nodeAddress(node, 'IPv6')}`)
    }
  }
  return {
    cables: text(cables),
    inside: new Map([...inside].map(([place, lines]) => [place, text(lines)])),
    sysctls: new Map(topology.nodes.map((node) => [node.name, nodeSysctls(node)])),
  }
}

/** The node's end of a pod's veth. */
export function podDevice(pod: PodSpec): string {
  return `veth-${pod.name}`.slice(0, 15)
}

function addresses(own: LanAddresses, device: string): readonly string[] {
  return [`addr add ${own.lanIpv4}/24 dev ${device}`, `addr add ${own.lanIpv6}/64 dev ${device} nodad`]
}

type Say = (place: PlaceName, ...lines: string[]) => void

function sayRoutedPod(node: NodeSpec, pod: PodSpec, say: Say): void {
  const device = podDevice(pod)
  const gateway = node.network.gatewayIpv4
  say(
    node.name,
    `addr add ${gateway}/32 dev ${device}`,
    `addr add fe80::1/64 dev ${device} nodad`,
    `link set ${device} up`,
    `route add ${pod.ipv4}/32 dev ${device}`,
    `route add ${pod.ipv6}/128 dev ${device}`,
  )
  say(
    pod.name,
    `addr add ${pod.ipv4}/32 dev eth0`,
    `addr add ${pod.ipv6}/128 dev eth0 nodad`,
    'link set eth0 up',
    `route add ${gateway} dev eth0 scope link`,
    `route add default via ${gateway}`,
    'route add default via fe80::1 dev eth0',
  )
}

function sayBridge(node: NodeSpec, say: Say): void {
  if (node.network.kind !== 'bridged') return
  const { bridge, gatewayIpv4, gatewayIpv6, prefixIpv4 } = node.network
  say(
    node.name,
    `link add ${bridge} type bridge`,
    `addr add ${gatewayIpv4}/${prefixIpv4} dev ${bridge}`,
    `addr add ${gatewayIpv6}/64 dev ${bridge} nodad`,
    `link set ${bridge} up`,
  )
}

function sayBridgedPod(node: NodeSpec, pod: PodSpec, say: Say): void {
  if (node.network.kind !== 'bridged') return
  const device = podDevice(pod)
  say(
    node.name,
    `link set ${device} master ${node.network.bridge} up`,
    // A pod that reaches itself through a Service comes back out of the port that it came in by.
    `link set ${device} type bridge_slave hairpin on`,
  )
  say(
    pod.name,
    `addr add ${pod.ipv4}/${node.network.prefixIpv4} dev eth0`,
    `addr add ${pod.ipv6}/64 dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${node.network.gatewayIpv4}`,
    `route add default via ${node.network.gatewayIpv6}`,
  )
}

function nodeSysctls(node: NodeSpec): readonly string[] {
  const common = [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
    'net.ipv4.conf.eth0.rp_filter=0',
    // A test asks for more refusals in a second than the kernel would give to one peer.
    'net.ipv4.icmp_ratelimit=0',
    'net.ipv6.icmp.ratelimit=0',
  ]
  if (node.network.kind === 'routed') return common
  // As kubelet's preflight demands: replies between two pods of one bridge must meet conntrack.
  return [...common, 'net.bridge.bridge-nf-call-iptables=1', 'net.bridge.bridge-nf-call-ip6tables=1']
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}
