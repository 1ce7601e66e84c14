// One number decoded into a packet aimed at a Snapshot: mostly at an address and port that a Service has, from every kind
// of client, by the device that such a client comes in by.

import { familyOf, isLoopback, type Family, type Ip } from '#agent/model/ip.ts'
import type { Port, Protocol } from '#agent/model/port.ts'
import type { NodeWorld, Packet } from '#agent/plan/packet.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { ip } from './build.ts'

type Pick = <T>(values: readonly T[]) => T

/**
 * Real packets only: what the node sends has one of its addresses as source and no device; what comes in has neither a
 * local source nor a loopback address.
 */
export function decodePacket(
  draw: number,
  snapshot: Snapshot,
  options: PlanOptions,
  world: NodeWorld,
): Packet {
  const pick = picker(draw)
  const family = pick(options.families)
  const target = pick(STRAY) ? strayTarget(pick, family) : aimedTarget(pick, family, snapshot, world)
  const source = pick(sourcesOf(family, target.destination, snapshot, world))
  return { ...target, source, inInterface: deviceOf(source, options, world) }
}

/** Each choice takes its share of the number; what is left serves the next one. */
function picker(draw: number): Pick {
  let rest = draw
  return (values) => {
    const index = rest % values.length
    rest = Math.floor(rest / values.length)
    const value = values[index]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }
}

const STRAY = [false, false, false, false, true]
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']

interface Target {
  readonly destination: Ip
  readonly port: Port
  readonly protocol: Protocol
}

/** An address that some Service has or looks as if it had: Proxy entries, headless Services and all. */
function aimedTarget(pick: Pick, family: Family, snapshot: Snapshot, world: NodeWorld): Target {
  const services = [...snapshot.services.values()]
  if (services.length === 0) return strayTarget(pick, family)
  const service = pick(services)
  const port = pick(service.ports)
  const ofFamily = (address: Ip): boolean => familyOf(address) === family
  const vips = [
    ...service.clusterIps,
    ...service.externalIps,
    ...service.loadBalancer.map((entry) => entry.ip),
  ].filter(ofFamily)
  const atNode = { destination: pick([...world.localAddresses].filter(ofFamily)), port: port.nodePort }
  const atVip = vips.length === 0 ? atNode : { destination: pick(vips), port: port.port }
  const { destination, port: number } = port.nodePort !== 0 && pick([true, false]) ? atNode : atVip
  return { destination, port: number === 0 ? port.port : number, protocol: port.protocol }
}

const STRAY_TARGETS: Readonly<Record<Family, readonly Ip[]>> = {
  // Live and free ClusterIPs, external IPs, addresses of the node, and one that is none of all that.
  IPv4: ['10.96.0.1', '10.96.0.77', '203.0.113.1', '192.168.0.10', '172.30.0.10', '127.0.0.1', '8.8.8.8'].map(
    ip,
  ),
  IPv6: ['fd00:96::1', 'fd00:96::77', 'fd00:198::1', 'fd00:168::10', '::1', 'fd00:8::8'].map(ip),
}

function strayTarget(pick: Pick, family: Family): Target {
  return {
    destination: pick(STRAY_TARGETS[family]),
    port: pick([80, 81, 443, 30080, 30081, 53]),
    protocol: pick(PROTOCOLS),
  }
}

const SOURCES: Readonly<Record<Family, readonly Ip[]>> = {
  // Pods here and elsewhere (some are endpoints: the hairpin), the node, another node, outside in and out of the ranges.
  IPv4: [
    '10.244.1.5',
    '10.244.1.6',
    '10.244.1.99',
    '10.244.2.5',
    '192.168.0.10',
    '172.30.0.10',
    '10.244.1.1',
    '192.168.0.11',
    '203.0.113.200',
    '198.51.100.200',
    '198.51.100.1',
  ].map(ip),
  IPv6: [
    'fd00:244:1::5',
    'fd00:244:1::99',
    'fd00:244:2::5',
    'fd00:168::10',
    'fd00:244:1::1',
    'fd00:168::11',
    'fd00:203::200',
    'fd00:999::1',
    'fd00:198::1',
  ].map(ip),
}

/** Loopback talks to local addresses alone, and loopback is reached from the node alone. */
function sourcesOf(family: Family, destination: Ip, snapshot: Snapshot, world: NodeWorld): readonly Ip[] {
  const own = [...world.localAddresses].filter((address) => familyOf(address) === family)
  if (isLoopback(destination)) return own
  const loadBalancerIps = [...snapshot.services.values()]
    .flatMap(({ loadBalancer }) => loadBalancer.map((entry) => entry.ip))
    .filter((address) => familyOf(address) === family)
  const here = world.localAddresses.has(destination)
  const loopback = here ? own.filter(isLoopback) : []
  // Only the node talks to itself from the very address that it dials.
  return [...SOURCES[family], ...loadBalancerIps, ...loopback].filter(
    (source) => here || source !== destination,
  )
}

function deviceOf(source: Ip, options: PlanOptions, world: NodeWorld): string {
  if (isLoopback(source) || world.localAddresses.has(source)) return ''
  if (!/^(10\.244\.1\.|fd00:244:1:)/.test(source)) return 'eth0'
  // Pods sit on a bridge or on devices of their own, as the detector expects it.
  return options.localDetector.kind === 'bridgeInterface' ? 'cni0' : 'veth1'
}
