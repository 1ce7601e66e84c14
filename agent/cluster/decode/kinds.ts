// The table of kinds that are read: by group and kind, the versions that are understood and what decodes them.

import type { RouteKind } from '../../model/route.ts'
import { decodeEndpointSlice } from './endpoint-slice.ts'
import { decodeEndpoints } from './endpoints.ts'
import { decodeNode } from './node.ts'
import { decodeObject, type Naming } from './object.ts'
import type { Place } from './place.ts'
import { decodeReferenceGrant } from './reference-grant.ts'
import type { Decoding } from './report.ts'
import { decodeRoute } from './route.ts'
import { decodeServiceCidr } from './service-cidr.ts'
import { decodeService } from './service.ts'
import { decodeTrafficPolicy } from './traffic-policy.ts'

export interface KindReader extends Naming {
  readonly versions: readonly string[]
  readonly read: (input: unknown, root: Place | undefined) => Decoding<unknown>
}

const GATEWAY_VERSIONS = ['v1', 'v1beta1', 'v1alpha3', 'v1alpha2']

/** By `group/Kind`; the core group is empty. */
const READERS: ReadonlyMap<string, KindReader> = new Map<string, KindReader>([
  ['/Service', { versions: ['v1'], scope: 'namespaced', naming: 'label', read: decodeService }],
  ['/Endpoints', { versions: ['v1'], scope: 'namespaced', naming: 'subdomain', read: decodeEndpoints }],
  ['/Node', { versions: ['v1'], scope: 'cluster', naming: 'subdomain', read: decodeNode }],
  ['/Namespace', nameOnly('Namespace', ['v1'], { scope: 'cluster', naming: 'label' })],
  [
    'discovery.k8s.io/EndpointSlice',
    { versions: ['v1'], scope: 'namespaced', naming: 'subdomain', read: decodeEndpointSlice },
  ],
  [
    'networking.k8s.io/ServiceCIDR',
    { versions: ['v1', 'v1beta1'], scope: 'cluster', naming: 'subdomain', read: decodeServiceCidr },
  ],
  ['gateway.networking.k8s.io/HTTPRoute', routeReader('HTTPRoute')],
  ['gateway.networking.k8s.io/GRPCRoute', routeReader('GRPCRoute')],
  ['gateway.networking.k8s.io/TCPRoute', routeReader('TCPRoute')],
  ['gateway.networking.k8s.io/TLSRoute', routeReader('TLSRoute')],
  [
    'gateway.networking.k8s.io/ReferenceGrant',
    { versions: GATEWAY_VERSIONS, scope: 'namespaced', naming: 'subdomain', read: decodeReferenceGrant },
  ],
  [
    'shunt.dev/TrafficPolicy',
    { versions: ['v1alpha1'], scope: 'namespaced', naming: 'subdomain', read: decodeTrafficPolicy },
  ],
])

export function kindReader(group: string, kind: string): KindReader | undefined {
  return READERS.get(`${group}/${kind}`)
}

/** The apiVersion under which a kind of this name is read; undefined for kinds that are not read at all. */
export function apiVersionOf(kind: string): string | undefined {
  for (const [name, { versions }] of READERS) {
    const [group = '', own] = name.split('/')
    if (own === kind) return [group, versions[0] ?? ''].filter((part) => part !== '').join('/')
  }
  return undefined
}

function routeReader(kind: RouteKind): KindReader {
  return {
    versions: GATEWAY_VERSIONS,
    scope: 'namespaced',
    naming: 'subdomain',
    read: (input, root) => decodeRoute(kind, input, root),
  }
}

/** Kinds that belong to a folder of Services but say nothing to the data plane yet: only their name is read. */
function nameOnly(kind: string, versions: readonly string[], naming: Naming): KindReader {
  const shape = { kind, fields: ['spec'], ...naming }
  return {
    versions,
    ...naming,
    read: (input, root) => decodeObject<never>(input, root, shape, () => undefined),
  }
}
