// Terse builders of model values for tests: every field has a plain default, a test names only what it is about.

import { buildPlan } from '#agent/plan/build.ts'
import type { NodeWorld, Packet } from '#agent/plan/packet.ts'
import type { Plan, PlanOptions } from '#agent/plan/plan.ts'
import { EMPTY_SNAPSHOT, type Snapshot } from '#agent/plan/snapshot.ts'
import { parseCidr, type Cidr } from '#agent/model/cidr.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '#agent/model/endpoint.ts'
import { serviceId, type ServiceId } from '#agent/model/ids.ts'
import { familyOf, parseIp, type Ip } from '#agent/model/ip.ts'
import type { Node } from '#agent/model/node.ts'
import type { PolicyAttachment } from '#agent/model/policy.ts'
import type { ReferenceGrant, RouteAttachment } from '#agent/model/route.ts'
import type { Service, ServicePort } from '#agent/model/service.ts'

export function ip(text: string): Ip {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(`${text} is not an address`)
  return parsed
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (parsed === undefined) throw new Error(`${text} is not a range`)
  return parsed
}

/** `default/web`, or `other/name` if the text says so. */
export function idOf(text: string): ServiceId {
  const [first = '', second] = text.split('/')
  return second === undefined ? serviceId('default', first) : serviceId(first, second)
}

/** Fields that tests like to write as text. */
export interface ServiceText extends Partial<
  Omit<Service, 'id' | 'clusterIps' | 'externalIps' | 'loadBalancer' | 'sourceRanges' | 'ports'>
> {
  readonly clusterIps?: readonly string[]
  readonly externalIps?: readonly string[]
  /** `198.51.100.1`, or `198.51.100.1 Proxy`. */
  readonly loadBalancer?: readonly string[]
  readonly sourceRanges?: readonly string[]
  readonly ports?: readonly Partial<ServicePort>[]
}

/** ClusterIP 10.96.0.10, port 80/TCP without a name. */
export function aService(text: ServiceText = {}): Service {
  const { clusterIps, externalIps, loadBalancer, sourceRanges, ports, ...rest } = text
  const namespace = text.namespace ?? 'default'
  const name = text.name ?? 'web'
  return {
    id: serviceId(namespace, name),
    namespace,
    name,
    type: 'ClusterIP',
    headless: false,
    foreignProxy: false,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    affinity: { kind: 'None' },
    healthCheckNodePort: 0,
    steer: 'auto',
    whenProxyDown: 'balance',
    ...rest,
    clusterIps: (clusterIps ?? ['10.96.0.10']).map(ip),
    externalIps: (externalIps ?? []).map(ip),
    loadBalancer: (loadBalancer ?? []).map((entry) => {
      const [address = '', mode] = entry.split(' ')
      return { ip: ip(address), mode: mode === 'Proxy' ? 'Proxy' : 'VIP' }
    }),
    sourceRanges: (sourceRanges ?? []).map(cidr),
    ports: (ports ?? [{}]).map((port) => ({ name: '', protocol: 'TCP', port: 80, nodePort: 0, ...port })),
  }
}

export interface EndpointText extends Partial<Omit<Endpoint, 'ip'>> {
  readonly ip: string
}

/** Ready, on this node. A bare text is its address. */
export function anEndpoint(text: EndpointText | string): Endpoint {
  const fields = typeof text === 'string' ? { ip: text } : text
  return {
    nodeName: 'n1',
    ready: true,
    serving: true,
    terminating: false,
    zone: '',
    zoneHints: [],
    nodeHints: [],
    ...fields,
    ip: ip(fields.ip),
  }
}

export interface SliceText {
  readonly id?: string
  readonly service?: string
  readonly ports?: readonly Partial<EndpointPort>[]
  readonly endpoints: readonly (EndpointText | string)[]
}

/** Of `default/web`, unnamed port 8080/TCP; the family is the first endpoint's. */
export function aSlice({ id, service = 'web', ports = [{}], endpoints }: SliceText): EndpointSlice {
  const made = endpoints.map(anEndpoint)
  const owner = idOf(service)
  return {
    id: id ?? `${owner}-a`,
    service: owner,
    family: made[0] === undefined ? 'IPv4' : familyOf(made[0].ip),
    ports: ports.map((port) => ({ name: '', protocol: 'TCP', port: 8080, ...port })),
    endpoints: made,
  }
}

export interface NodeText extends Partial<Omit<Node, 'addresses' | 'podCidrs'>> {
  readonly addresses?: readonly string[]
  readonly podCidrs?: readonly string[]
}

/** `n1` in zone `z1`, at 192.168.0.10 and fd00:168::10, Pods in 10.244.1.0/24 and fd00:244:1::/64. */
export function aNode({ addresses, podCidrs, ...rest }: NodeText = {}): Node {
  return {
    name: 'n1',
    zone: 'z1',
    taints: [],
    deleting: false,
    ...rest,
    addresses: (addresses ?? ['192.168.0.10', 'fd00:168::10']).map(ip),
    podCidrs: (podCidrs ?? ['10.244.1.0/24', 'fd00:244:1::/64']).map(cidr),
  }
}

export interface SnapshotParts {
  readonly generation?: number
  readonly services?: readonly Service[]
  readonly slices?: readonly EndpointSlice[]
  /** null: not seen. */
  readonly node?: Node | null
  readonly serviceCidrs?: readonly string[]
  readonly routes?: readonly RouteAttachment[]
  readonly policies?: readonly PolicyAttachment[]
  readonly grants?: readonly ReferenceGrant[]
}

export function aSnapshot(parts: SnapshotParts = {}): Snapshot {
  return {
    ...EMPTY_SNAPSHOT,
    generation: parts.generation ?? 1,
    services: new Map((parts.services ?? []).map((service) => [service.id, service])),
    slices: Map.groupBy(parts.slices ?? [], ({ service }) => service),
    node: parts.node === null ? undefined : (parts.node ?? aNode()),
    serviceCidrs: (parts.serviceCidrs ?? ['10.96.0.0/16', 'fd00:96::/112']).map(cidr),
    routes: Map.groupBy(parts.routes ?? [], ({ service }) => service),
    policies: Map.groupBy(parts.policies ?? [], ({ service }) => service),
    grants: parts.grants ?? [],
  }
}

/** Both families, iptables semantics, Pods told by the cluster's ranges, steering by sk_lookup where asked for. */
export function someOptions(options: Partial<PlanOptions> = {}): PlanOptions {
  return {
    nodeName: 'n1',
    families: ['IPv4', 'IPv6'],
    semantics: 'iptables',
    masqueradeAll: false,
    localDetector: { kind: 'clusterCidr', cidrs: [cidr('10.244.0.0/16'), cidr('fd00:244::/48')] },
    nodePortAddresses: { kind: 'default' },
    localhostNodePorts: true,
    allowExternalIps: true,
    steer: 'auto',
    steering: { mechanism: 'sk_lookup', proxyPort: 15001 },
    ...options,
  }
}

export function planOf(parts: SnapshotParts = {}, options: Partial<PlanOptions> = {}): Plan {
  return buildPlan(aSnapshot(parts), someOptions(options))
}

export interface PacketText extends Partial<Omit<Packet, 'source' | 'destination'>> {
  readonly from: string
  readonly to: string
}

/** TCP to port 80. Its device: none for the node's own addresses, `veth1` for this node's Pods, else `eth0`. */
export function aPacket({ from, to, ...rest }: PacketText): Packet {
  const source = ip(from)
  const device = HOST_ADDRESSES.has(source)
    ? ''
    : /^(10\.244\.1\.|fd00:244:1:)/.test(source)
      ? 'veth1'
      : 'eth0'
  return { port: 80, protocol: 'TCP', inInterface: device, ...rest, source, destination: ip(to) }
}

const HOST_ADDRESSES: ReadonlySet<Ip> = new Set(
  ['192.168.0.10', '172.30.0.10', 'fd00:168::10', 'fd00:172::10', '127.0.0.1', '::1'].map(ip),
)

/** The node of {@link aNode}, with a second address of each family, and more if named. */
export function aWorld(...more: readonly string[]): NodeWorld {
  return { localAddresses: new Set([...HOST_ADDRESSES, ...more.map(ip)]) }
}
