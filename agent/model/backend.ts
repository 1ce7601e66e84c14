// Whether a route may send connections to the Service that it names, and where in it.

import { servicePortKey, type ServiceId, type ServicePortKey } from './ids.ts'
import { isGranted, namespaceOf, type ReferenceGrant, type TlsBackend } from './route.ts'
import type { Service } from './service.ts'

export type BackendState =
  | {
      readonly kind: 'valid'
      readonly service: ServicePortKey
      readonly portName: string
      /** The backend's own internalTrafficPolicy: the proxy is a client inside the cluster. */
      readonly pool: 'cluster' | 'local'
    }
  | { readonly kind: 'invalid'; readonly because: string }

/** What the cluster has for routes to refer to. */
export interface Referable {
  readonly services: ReadonlyMap<ServiceId, Service>
  readonly grants: readonly ReferenceGrant[]
}

/** `from`: namespace of the route. */
export function backendState(target: TlsBackend['target'], from: string, world: Referable): BackendState {
  if (target === undefined) return invalid('it is not a Service')
  const { service: id, port: number } = target
  // First of all, so that the answer does not tell what other namespaces have.
  if (!isGranted(world.grants, from, id))
    return invalid(`no ReferenceGrant in ${namespaceOf(id)} lets TLSRoutes of ${from} refer to Service ${id}`)
  const service = world.services.get(id)
  if (service === undefined) return invalid(`there is no Service ${id}`)
  if (service.headless || service.type === 'ExternalName') return invalid(`Service ${id} has no ClusterIP`)
  if (service.foreignProxy) return invalid(`Service ${id} belongs to another proxy`)
  const port = service.ports.find((each) => each.port === number && each.protocol === 'TCP')
  if (port === undefined) return invalid(`Service ${id} has no port ${number}/TCP`)
  return {
    kind: 'valid',
    service: servicePortKey(id, port.name, 'TCP'),
    portName: port.name,
    pool: service.internalTrafficPolicy === 'Local' ? 'local' : 'cluster',
  }
}

function invalid(because: string): BackendState {
  return { kind: 'invalid', because }
}
