// Random objects of a Snapshot: few names, addresses and ports, so that they collide and nearly fit all the time.

import * as fc from 'fast-check'
import type { Endpoint, EndpointPort, EndpointSlice } from '#agent/model/endpoint.ts'
import type { Family } from '#agent/model/ip.ts'
import type { Node } from '#agent/model/node.ts'
import type { Affinity, Service, ServicePort } from '#agent/model/service.ts'
import { cidr, idOf, ip } from './build.ts'

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
export const NAMES = ['web', 'api', 'db', 'web-2'] as const
export const NAMESPACES = ['default', 'prod'] as const
const PROTOCOLS = ['TCP', 'TCP', 'TCP', 'TCP', 'UDP', 'SCTP'] as const

export function oneOf<T>(...values: readonly T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...values)
}

function someOf<T>(values: readonly T[], maxLength: number): fc.Arbitrary<T[]> {
  return fc.array(fc.constantFrom(...values), { maxLength })
}

/** Rarely anything but `usual`. */
export function mostly<T>(usual: T, ...rare: readonly T[]): fc.Arbitrary<T> {
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

export const arbitraryService: fc.Arbitrary<Service> = fc
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

export function arbitrarySliceOf(family: Family): fc.Arbitrary<Omit<EndpointSlice, 'id'>> {
  return fc.record({
    service: fc
      .tuple(oneOf(...NAMESPACES), oneOf(...NAMES))
      .map(([namespace, name]) => idOf(`${namespace}/${name}`)),
    family: fc.constant(family),
    ports: fc.array(arbitraryEndpointPort, { minLength: 1, maxLength: 3 }),
    endpoints: fc.array(arbitraryEndpoint(family), { maxLength: 4, size: 'max' }),
  })
}

export const arbitraryNode: fc.Arbitrary<Node | undefined> = fc
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

/** Every name that a Service may have. */
export const ALL_SERVICES = NAMESPACES.flatMap((namespace) =>
  NAMES.map((name) => idOf(`${namespace}/${name}`)),
)

/** The slice moved to a Service and to its ports. */
export function aim(
  slice: Omit<EndpointSlice, 'id'>,
  service: Service | undefined,
): Omit<EndpointSlice, 'id'> {
  if (service === undefined) return slice
  const ports = slice.ports.map((port, i) => {
    const wanted = service.ports[i % service.ports.length]
    return wanted === undefined ? port : { ...port, name: wanted.name, protocol: wanted.protocol }
  })
  return { ...slice, service: service.id, ports }
}
