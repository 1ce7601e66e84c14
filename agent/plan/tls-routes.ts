// The TLSRoutes of a Service port, resolved: host names in the order in which they are tried, with what becomes of each
// backend. Routes of a backend are not looked at again.

import { selectsPort } from '../model/attachment.ts'
import { backendState, type Referable } from '../model/backend.ts'
import { POLICY_LIMITS } from '../model/connection-policy-bounds.ts'
import type { EndpointSlice } from '../model/endpoint.ts'
import type { ServiceId } from '../model/ids.ts'
import type { Family } from '../model/ip.ts'
import {
  isDisplaced,
  namespaceOf,
  tlsEntries,
  type RouteAttachment,
  type TlsBackend,
  type TlsRouteEntry,
} from '../model/route.ts'
import type { Service, ServicePort } from '../model/service.ts'
import { mergeSlices, type MergedEndpoint } from './endpoints.ts'
import type { PlanTlsBackend, PlanTlsRoute } from './plan.ts'

/** What routes may refer to, with the endpoints. */
export interface World extends Referable {
  readonly slices: ReadonlyMap<ServiceId, readonly EndpointSlice[]>
}

const NONE: readonly PlanTlsRoute[] = []

export function tlsRoutesOf(
  service: Service,
  port: ServicePort,
  routes: readonly RouteAttachment[],
  world: Referable,
): readonly PlanTlsRoute[] {
  const entries = entriesOf(service, port, routes)
  if (entries.length === 0) return NONE
  return entries.map(({ hostname, route }) => ({
    hostname,
    route: route.id,
    backends: route.tls.backends.map((backend) => planBackend(backend, namespaceOf(route.id), world)),
  }))
}

function entriesOf(
  service: Service,
  port: ServicePort,
  routes: readonly RouteAttachment[],
): readonly TlsRouteEntry[] {
  if (port.protocol !== 'TCP' || routes.length === 0) return []
  const selecting = routes.filter((route) => selectsPort(route, port, service.ports))
  if (isDisplaced(selecting)) return []
  // A bound, so that no set of objects makes a view that the proxy refuses.
  return tlsEntries(selecting).slice(0, POLICY_LIMITS.tlsRoutes)
}

/**
 * The endpoints of every backend that may get connections, for a Service without a usable one of its own: a Service
 * without a selector is a good parent (GEP-1294), but the kernel refuses connections to one without endpoints, so that
 * none would ever reach the proxy. What the kernel does with them alone, it does at random.
 */
export function routedEndpoints(
  routes: readonly RouteAttachment[],
  service: Service,
  port: ServicePort,
  family: Family,
  world: World,
): MergedEndpoint[] {
  const merged = new Map<string, MergedEndpoint>()
  for (const { route } of entriesOf(service, port, routes))
    for (const { target, weight } of route.tls.backends) {
      const state = backendState(target, namespaceOf(route.id), world)
      if (target === undefined || state.kind === 'invalid' || weight === 0) continue
      const slices = world.slices.get(target.service) ?? []
      for (const endpoint of mergeSlices(slices, family, state.portName, 'TCP'))
        if (!merged.has(endpoint.key)) merged.set(endpoint.key, endpoint)
    }
  return [...merged.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** Services that have TLSRoutes to a Service, by that Service; the same value for the same routes. */
export function parentsByBackend(
  routes: ReadonlyMap<ServiceId, readonly RouteAttachment[]>,
): ReadonlyMap<ServiceId, ReadonlySet<ServiceId>> {
  const known = parentsOfRoutes.get(routes)
  if (known !== undefined) return known
  const parents = new Map<ServiceId, Set<ServiceId>>()
  for (const [parent, attachments] of routes)
    for (const { tls } of attachments)
      for (const { target } of tls?.backends ?? []) {
        if (target === undefined) continue
        const own = parents.get(target.service) ?? new Set<ServiceId>()
        parents.set(target.service, own.add(parent))
      }
  parentsOfRoutes.set(routes, parents)
  return parents
}

const parentsOfRoutes = new WeakMap<
  ReadonlyMap<ServiceId, readonly RouteAttachment[]>,
  ReadonlyMap<ServiceId, ReadonlySet<ServiceId>>
>()

function planBackend({ target, weight }: TlsBackend, from: string, world: Referable): PlanTlsBackend {
  const name = target === undefined ? 'unknown' : `${target.service}:${target.port}`
  const state = backendState(target, from, world)
  return state.kind === 'valid'
    ? { name, weight, service: state.service, pool: state.pool }
    : { name, weight, service: null, pool: 'cluster', because: state.because }
}
