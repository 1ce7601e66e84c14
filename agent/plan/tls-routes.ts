// The TLSRoutes of a Service port, resolved: host names in the order in which they are tried, with what becomes of each
// backend. Routes of a backend are not looked at again.

import { selectsPort } from '../model/attachment.ts'
import { backendState, type Referable } from '../model/backend.ts'
import { POLICY_LIMITS } from '../model/connection-policy-bounds.ts'
import type { ServiceId } from '../model/ids.ts'
import {
  isDisplaced,
  namespaceOf,
  tlsEntries,
  type RouteAttachment,
  type TlsBackend,
} from '../model/route.ts'
import type { Service, ServicePort } from '../model/service.ts'
import type { PlanTlsBackend, PlanTlsRoute } from './plan.ts'

const NONE: readonly PlanTlsRoute[] = []

export function tlsRoutesOf(
  service: Service,
  port: ServicePort,
  routes: readonly RouteAttachment[],
  world: Referable,
): readonly PlanTlsRoute[] {
  if (port.protocol !== 'TCP' || routes.length === 0) return NONE
  const selecting = routes.filter((route) => selectsPort(route, port, service.ports))
  if (isDisplaced(selecting)) return NONE
  // A bound, so that no set of objects makes a view that the proxy refuses.
  const entries = tlsEntries(selecting).slice(0, POLICY_LIMITS.tlsRoutes)
  return entries.map(({ hostname, route }) => ({
    hostname,
    route: route.id,
    backends: route.tls.backends.map((backend) => planBackend(backend, namespaceOf(route.id), world)),
  }))
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
