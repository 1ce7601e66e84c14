// The three questions that rules ask of a packet's addresses: is the destination one that NodePorts answer on, which kind
// of client is the source, and may this source use a load balancer IP.

import { cidrContains } from '../model/cidr.ts'
import { isLoopback, type Ip } from '../model/ip.ts'
import type { NodeWorld, Packet } from './packet.ts'
import type { ClientKind, LocalDetector, NodePortAddresses, SourceFilter } from './plan.ts'

/** What the kernel calls type LOCAL: the addresses of devices and all of 127.0.0.0/8. */
export function isLocalAddress(ip: Ip, world: NodeWorld): boolean {
  return isLoopback(ip) || world.localAddresses.has(ip)
}

/** True if NodePorts answer on this destination (rows 15 to 17, 19). */
export function answersNodePorts(ip: Ip, addresses: NodePortAddresses, world: NodeWorld): boolean {
  if (!isLocalAddress(ip, world)) return false
  if (isLoopback(ip) && !addresses.loopback) return false
  return addresses.kind === 'allLocal' || addresses.cidrs.some((cidr) => cidrContains(cidr, ip))
}

/** In the order of the rules: Pod by the detector, then the node itself, then everybody else (trap 2). */
export function clientKindOf(
  packet: Pick<Packet, 'source' | 'inInterface'>,
  detector: LocalDetector,
  world: NodeWorld,
): ClientKind {
  if (isPod(packet, detector)) return 'pod'
  return isLocalAddress(packet.source, world) ? 'host' : 'outside'
}

function isPod(packet: Pick<Packet, 'source' | 'inInterface'>, detector: LocalDetector): boolean {
  switch (detector.kind) {
    case 'none':
      return false
    case 'cidr':
      return cidrContains(detector.cidr, packet.source)
    case 'interface':
      return packet.inInterface === detector.name
    case 'interfacePrefix':
      return packet.inInterface !== '' && packet.inInterface.startsWith(detector.prefix)
  }
}

/** Rows 24, 25. */
export function allowsSource(filter: SourceFilter, source: Ip): boolean {
  return filter.selfIps.includes(source) || filter.cidrs.some((cidr) => cidrContains(cidr, source))
}
