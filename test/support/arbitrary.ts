// Random Snapshots, options and packets for property tests, small and adversarial: few names, addresses and ports, so
// that collisions, duplicates, shared NodePorts, hints, terminating mixes and near misses happen all the time. Packets
// are aimed at what the Snapshot has, with one in a few gone astray.
//
// A packet is drawn as one number and decoded against its Snapshot, because a hundred packets then cost fast-check a
// hundred numbers, and shrinking still works on the Snapshot.

import * as fc from 'fast-check'
import type { Cidr } from '#agent/model/cidr.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '#agent/model/endpoint.ts'
import type { ServiceId } from '#agent/model/ids.ts'
import type { Family } from '#agent/model/ip.ts'
import type { Node } from '#agent/model/node.ts'
import type { RouteAttachment } from '#agent/model/route.ts'
import type { Affinity, Service, ServicePort } from '#agent/model/service.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import type { NodeWorld, Packet } from '#agent/plan/packet.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { decodePacket } from './arbitrary-packet.ts'
import { cidr, idOf, ip } from './build.ts'

export interface Case {
  readonly snapshot: Snapshot
  readonly options: PlanOptions
  readonly world: NodeWorld
  readonly packets: readonly Packet[]
}

export interface CaseBounds {
  readonly packets?: number
  /** Default: either. */
  readonly semantics?: PlanOptions['semantics']
  readonly families?: readonly Family[]
}

/** A Snapshot with options, the node's addresses and packets of the node's families. */
export function arbitraryCase({ packets = 50, semantics, families }: CaseBounds = {}): fc.Arbitrary<Case> {
  return fc
    .record({
      snapshot: arbitrarySnapshot(),
      options: arbitraryOptions({ semantics, families }),
      world: arbitraryWorld(),
      draws: fc.array(fc.noBias(fc.maxSafeNat()), { minLength: packets, maxLength: packets }),
    })
    .map(({ snapshot, options, world, draws }) => ({
      snapshot,
      options,
      world,
      packets: draws.map((draw) => decodePacket(draw, snapshot, options, world)),
    }))
}

const CLUSTER_IPS = [
  ['10.96.0.1', 'fd00:96::1'],
  ['10.96.0.2', 'fd00:96::2'],
  ['10.96.0.3', 'fd00:96::3'],
  ['10.96.0.4', 'fd00:96::4'],
  ['10.96.0.5', 'fd00:96::5'],
  ['10.96.0.6', 'fd00:96::6'],
].map((pair) => pair.map(ip))
/** The node's own address and a ClusterIP of another Service are among them. */
const EXTERNAL_IPS = ['203.0.113.1', '203.0.113.2', '192.168.0.10', '10.96.0.2', 'fd00:203::1'].map(ip)
const LB_IPS = ['198.51.100.1', '198.51.100.2', '203.0.113.1', 'fd00:198::1'].map(ip)
const ENDPOINT_IPS = {
  IPv4: ['10.244.1.5', '10.244.1.6', '10.244.2.5', '10.244.2.6', '192.168.0.10', '192.168.0.11'].map(ip),
  IPv6: ['fd00:244:1::5', 'fd00:244:1::6', 'fd00:244:2::5', 'fd00:168::11'].map(ip),
}
const SOURCE_RANGES = [
  '203.0.113.128/25',
  '10.244.1.0/24',
  '192.168.0.0/24',
  '0.0.0.0/0',
  'fd00:203::/64',
  'fd00:168::/64',
  '::/0',
].map(cidr)
const NAMES = ['web', 'api', 'db', 'web-2'] as const
const NAMESPACES = ['default', 'prod'] as const
const PROTOCOLS = ['TCP', 'TCP', 'TCP', 'TCP', 'UDP', 'SCTP'] as const

function oneOf<T>(...values: readonly T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...values)
}

function someOf<T>(values: readonly T[], maxLength: number): fc.Arbitrary<T[]> {
  return fc.array(fc.constantFrom(...values), { maxLength })
}

/** Rarely anything but `usual`. */
function mostly<T>(usual: T, ...rare: readonly T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...Array.from({ length: 6 * rare.length }, () => usual), ...rare)
}

const arbitraryServicePort: fc.Arbitrary<ServicePort> = fc.record({
  name: oneOf('', 'http'),
  protocol: oneOf(...PROTOCOLS),
  // 30080 as a Service port meets the NodePort of the same number on an address of the node (row 15).
  port: oneOf(80, 443, 30080),
  nodePort: oneOf(0, 0, 30080, 30081, 30082),
})

const NO_AFFINITY: Affinity = { kind: 'None' }

const arbitraryService: fc.Arbitrary<Service> = fc
  .record({
    namespace: oneOf(...NAMESPACES),
    name: oneOf(...NAMES),
    type: oneOf<Service['type']>('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer'),
    odd: mostly('no', 'headless', 'foreign', 'external'),
    clusterIps: oneOf(...CLUSTER_IPS),
    stack: oneOf('both', 'both', 'both', 'both', 'first', 'second'),
    ports: fc.array(arbitraryServicePort, { minLength: 1, maxLength: 2 }),
    externalIps: someOf(EXTERNAL_IPS, 2),
    loadBalancer: fc.array(
      fc.record({ ip: oneOf(...LB_IPS), mode: mostly<'VIP' | 'Proxy'>('VIP', 'Proxy') }),
      {
        maxLength: 2,
      },
    ),
    sourceRanges: someOf(SOURCE_RANGES, 2),
    internalTrafficPolicy: oneOf('Cluster' as const, 'Cluster' as const, 'Local' as const),
    externalTrafficPolicy: oneOf('Cluster' as const, 'Local' as const),
    timeoutSeconds: oneOf(0, 0, 10, 10800),
    healthCheckNodePort: oneOf(0, 32000),
    steer: oneOf('auto' as const, 'always' as const, 'never' as const),
    whenProxyDown: oneOf('balance' as const, 'balance' as const, 'reject' as const),
  })
  .map(({ odd, stack, timeoutSeconds, type, clusterIps, ...rest }) => ({
    ...rest,
    id: idOf(`${rest.namespace}/${rest.name}`),
    type: odd === 'external' ? 'ExternalName' : type,
    headless: odd === 'headless',
    foreignProxy: odd === 'foreign',
    clusterIps: clusterIps.filter((_, i) => stack === 'both' || (stack === 'first') === (i === 0)),
    affinity: timeoutSeconds === 0 ? NO_AFFINITY : { kind: 'ClientIP', timeoutSeconds },
  }))

function arbitraryEndpoint(family: Family): fc.Arbitrary<Endpoint> {
  return fc
    .record({
      ip: oneOf(...ENDPOINT_IPS[family]),
      state: oneOf(
        'ready',
        'ready',
        'ready',
        'ready',
        'terminating',
        'terminating',
        'unready',
        'gone',
        'published',
      ),
      nodeName: oneOf('n1', 'n2', 'n2', ''),
      zone: oneOf('z1', 'z2', ''),
      zoneHints: oneOf([], ['z1'], ['z1'], ['z2'], ['z1', 'z2']),
      nodeHints: oneOf([], [], ['n1'], ['n2']),
    })
    .map(({ state, ...rest }) => ({
      ...rest,
      // `published`: terminating, yet ready by publishNotReadyAddresses.
      ready: state === 'ready' || state === 'published',
      serving: state !== 'unready' && state !== 'gone',
      terminating: state === 'terminating' || state === 'gone' || state === 'published',
    }))
}

const arbitraryEndpointPort: fc.Arbitrary<EndpointPort> = fc.record({
  name: oneOf('', 'http'),
  protocol: oneOf(...PROTOCOLS),
  port: oneOf(8080, 8080, 8081, 80),
})

function arbitrarySliceOf(family: Family): fc.Arbitrary<Omit<EndpointSlice, 'id'>> {
  return fc.record({
    service: fc
      .tuple(oneOf(...NAMESPACES), oneOf(...NAMES))
      .map(([namespace, name]) => idOf(`${namespace}/${name}`)),
    family: fc.constant(family),
    ports: fc.array(arbitraryEndpointPort, { minLength: 1, maxLength: 3 }),
    endpoints: fc.array(arbitraryEndpoint(family), { maxLength: 4, size: 'max' }),
  })
}

const arbitraryNode: fc.Arbitrary<Node | undefined> = fc
  .record({
    seen: mostly(true, false),
    addresses: mostly<readonly string[]>(
      ['192.168.0.10', 'fd00:168::10'],
      ['192.168.0.10'],
      ['fd00:168::10'],
    ),
    zone: mostly('z1', '', 'z3'),
    podCidrs: mostly<readonly string[]>(['10.244.1.0/24', 'fd00:244:1::/64'], ['10.244.1.0/24'], []),
  })
  .map(({ seen, addresses, zone, podCidrs }) =>
    seen
      ? {
          name: 'n1',
          addresses: addresses.map(ip),
          zone,
          podCidrs: podCidrs.map(cidr),
          taints: [],
          deleting: false,
        }
      : undefined,
  )

/** Some of these select a port that no Service has. */
function arbitraryRoutes(services: readonly ServiceId[]): fc.Arbitrary<RouteAttachment[]> {
  const route = fc.record({
    kind: oneOf('HTTPRoute' as const, 'GRPCRoute' as const, 'TCPRoute' as const),
    service: fc.constantFrom(...services),
    port: oneOf(0, 80, 443, 9999),
  })
  return fc.array(route, { maxLength: 2 }).map((routes) =>
    routes.map(({ port, ...rest }, i) => ({
      ...rest,
      id: `default/route-${i}`,
      ...(port === 0 ? {} : { port }),
    })),
  )
}

const ALL_SERVICES = NAMESPACES.flatMap((namespace) => NAMES.map((name) => idOf(`${namespace}/${name}`)))

export function arbitrarySnapshot(): fc.Arbitrary<Snapshot> {
  return fc
    .record({
      services: fc.array(arbitraryService, { minLength: 1, maxLength: 5, size: 'max' }),
      slices: fc.array(fc.oneof(arbitrarySliceOf('IPv4'), arbitrarySliceOf('IPv6')), {
        maxLength: 20,
        size: 'max',
      }),
      // Most slices belong to a Service that exists and fit one of its ports; blind draws rarely would.
      aimed: fc.array(oneOf(true, true, true, true, false), { maxLength: 20, minLength: 20 }),
      node: arbitraryNode,
      serviceCidrs: mostly<readonly Cidr[]>(
        ['10.96.0.0/16', 'fd00:96::/112'].map(cidr),
        [],
        [cidr('10.96.0.0/24')],
      ),
      routes: arbitraryRoutes(ALL_SERVICES),
      generation: fc.integer({ min: 1, max: 1000 }),
    })
    .map(({ services, slices, aimed, node, serviceCidrs, routes, generation }) => ({
      generation,
      services: new Map(services.map((service) => [service.id, service])),
      slices: Map.groupBy(
        slices.map((slice, i) => ({
          ...(aimed[i] === true ? aim(slice, services[i % Math.max(services.length, 1)]) : slice),
          id: `default/slice-${i}`,
        })),
        ({ service }) => service,
      ),
      node,
      serviceCidrs,
      routes: Map.groupBy(routes, ({ service }) => service),
    }))
}

function aim(slice: Omit<EndpointSlice, 'id'>, service: Service | undefined): Omit<EndpointSlice, 'id'> {
  if (service === undefined) return slice
  const ports = slice.ports.map((port, i) => {
    const wanted = service.ports[i % service.ports.length]
    return wanted === undefined ? port : { ...port, name: wanted.name, protocol: wanted.protocol }
  })
  return { ...slice, service: service.id, ports }
}

interface OptionBounds {
  readonly semantics?: PlanOptions['semantics'] | undefined
  readonly families?: readonly Family[] | undefined
}

export function arbitraryOptions({ semantics, families }: OptionBounds = {}): fc.Arbitrary<PlanOptions> {
  const clusterCidrs = ['10.244.0.0/16', 'fd00:244::/48'].map(cidr)
  return fc.record({
    nodeName: fc.constant('n1'),
    families:
      families === undefined
        ? mostly<readonly Family[]>(['IPv4', 'IPv6'], ['IPv4'], ['IPv6'])
        : fc.constant(families),
    semantics: semantics === undefined ? oneOf('iptables', 'nftables') : fc.constant(semantics),
    masqueradeAll: mostly(false, true),
    localDetector: oneOf<PlanOptions['localDetector']>(
      { kind: 'clusterCidr', cidrs: clusterCidrs },
      { kind: 'clusterCidr', cidrs: clusterCidrs.slice(0, 1) },
      { kind: 'nodeCidr' },
      { kind: 'bridgeInterface', name: 'cni0' },
      { kind: 'interfaceNamePrefix', prefix: 'veth' },
      { kind: 'none' },
    ),
    nodePortAddresses: oneOf<PlanOptions['nodePortAddresses']>(
      { kind: 'default' },
      { kind: 'default' },
      { kind: 'primary' },
      { kind: 'cidrs', cidrs: [cidr('192.168.0.0/24'), cidr('127.0.0.0/8')] },
      { kind: 'cidrs', cidrs: [cidr('172.30.0.0/16')] },
      { kind: 'cidrs', cidrs: [cidr('0.0.0.0/0'), cidr('fd00:168::/64')] },
    ),
    localhostNodePorts: fc.boolean(),
    allowExternalIps: mostly(true, false),
    steer: mostly<PlanOptions['steer']>('auto', 'always', 'never'),
    steering: oneOf<PlanOptions['steering']>(
      { mechanism: 'sk_lookup', proxyPort: 15001 },
      { mechanism: 'sk_lookup', proxyPort: 15001 },
      { mechanism: 'dnat', proxyPort: 15001 },
      { mechanism: 'off', proxyPort: 15001 },
    ),
  })
}

/** Load balancers often bind their IPs on the node (row 25), so sometimes one is local. */
export function arbitraryWorld(): fc.Arbitrary<NodeWorld> {
  const always = [
    '192.168.0.10',
    '172.30.0.10',
    '10.244.1.1',
    '127.0.0.1',
    'fd00:168::10',
    'fd00:244:1::1',
    '::1',
  ]
  return oneOf<readonly string[]>([], [], ['198.51.100.1'], ['203.0.113.1', 'fd00:198::1']).map((more) => ({
    localAddresses: new Set([...always, ...more].map(ip)),
  }))
}

/** The next Snapshot after some of its entries were replaced by another Snapshot's; untouched ones keep their identity. */
export function mixSnapshots(from: Snapshot, other: Snapshot, mask: number): Snapshot {
  const bit = (i: number): boolean => ((mask >> (i % 30)) & 1) === 1
  return {
    generation: from.generation + 1,
    services: mixMaps(from.services, other.services, bit, 0),
    slices: mixMaps(from.slices, other.slices, bit, 3),
    routes: mixMaps(from.routes, other.routes, bit, 5),
    node: bit(28) && bit(27) ? other.node : from.node,
    serviceCidrs: bit(29) && bit(26) ? other.serviceCidrs : from.serviceCidrs,
  }
}

function mixMaps<V>(
  from: ReadonlyMap<ServiceId, V>,
  other: ReadonlyMap<ServiceId, V>,
  bit: (i: number) => boolean,
  offset: number,
): ReadonlyMap<ServiceId, V> {
  const mixed = new Map(from)
  for (const [i, id] of ALL_SERVICES.entries()) {
    if (!bit(i * 2 + offset)) continue
    const value = other.get(id)
    if (value === undefined) mixed.delete(id)
    else mixed.set(id, value)
  }
  return mixed
}

/** The same content in another order: maps, slices of a Service, endpoints of a slice. */
export function reorder(snapshot: Snapshot): Snapshot {
  const turn = <V>(map: ReadonlyMap<ServiceId, V>): Map<ServiceId, V> => new Map([...map].reverse())
  return {
    ...snapshot,
    services: turn(snapshot.services),
    routes: new Map([...turn(snapshot.routes)].map(([id, routes]) => [id, routes.toReversed()])),
    serviceCidrs: snapshot.serviceCidrs.toReversed(),
    slices: new Map(
      [...turn(snapshot.slices)].map(([id, slices]) => [
        id,
        slices.toReversed().map((slice) => ({ ...slice, endpoints: slice.endpoints.toReversed() })),
      ]),
    ),
  }
}
