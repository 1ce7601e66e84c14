// Random Snapshots, options and packets for property tests, small and adversarial: few names, addresses and ports, so
// that collisions, duplicates, shared NodePorts, hints, terminating mixes and near misses happen all the time. Packets
// are aimed at what the Snapshot has, with one in a few gone astray.
//
// A packet is drawn as one number and decoded against its Snapshot, because a hundred packets then cost fast-check a
// hundred numbers, and shrinking still works on the Snapshot.

import * as fc from 'fast-check'
import type { Cidr } from '#agent/model/cidr.ts'
import type { ServiceId } from '#agent/model/ids.ts'
import type { Family } from '#agent/model/ip.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import type { NodeWorld, Packet } from '#agent/plan/packet.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { aimAttached, arbitraryGrants, arbitraryPolicies, arbitraryRoutes } from './arbitrary-attached.ts'
import {
  aim,
  ALL_SERVICES,
  arbitraryNode,
  arbitraryService,
  arbitrarySliceOf,
  mostly,
  oneOf,
} from './arbitrary-objects.ts'
import { decodePacket } from './arbitrary-packet.ts'
import { cidr, ip } from './build.ts'

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
      policies: arbitraryPolicies(ALL_SERVICES),
      grants: arbitraryGrants,
      generation: fc.integer({ min: 1, max: 1000 }),
    })
    .map(({ services, slices, aimed, node, serviceCidrs, routes, policies, grants, generation }) => ({
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
      routes: Map.groupBy(
        routes.map((route, i) => (aimed[i] === true ? aimAttached(route, i, services) : route)),
        ({ service }) => service,
      ),
      policies: Map.groupBy(
        policies.map((policy, i) => (aimed[i] === true ? aimAttached(policy, i, services) : policy)),
        ({ service }) => service,
      ),
      grants,
    }))
}

interface OptionBounds {
  readonly semantics?: PlanOptions['semantics'] | undefined
  readonly families?: readonly Family[] | undefined
}

export function arbitraryOptions({ semantics, families }: OptionBounds = {}): fc.Arbitrary<PlanOptions> {
  const clusterCidrs = ['10.244.0.0/16', 'fd00:244::/48'].map(cidr)
  // Plans carry the options on as they are: a null prototype, which is no case of ours, would tell two equal ones apart.
  return fc.record(
    {
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
    },
    { noNullPrototype: true },
  )
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
    policies: mixMaps(from.policies, other.policies, bit, 7),
    grants: bit(25) && bit(24) ? other.grants : from.grants,
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
    policies: new Map([...turn(snapshot.policies)].map(([id, policies]) => [id, policies.toReversed()])),
    grants: snapshot.grants.toReversed(),
    serviceCidrs: snapshot.serviceCidrs.toReversed(),
    slices: new Map(
      [...turn(snapshot.slices)].map(([id, slices]) => [
        id,
        slices.toReversed().map((slice) => ({ ...slice, endpoints: slice.endpoints.toReversed() })),
      ]),
    ),
  }
}
