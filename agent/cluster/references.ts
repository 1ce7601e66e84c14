// What is odd about good objects as they stand beside each other: policies and TLS routes that name what is not there,
// and those that lose against another. Always warnings: they come and go as the other objects do. Pure.

import { selectsPort } from '../model/attachment.ts'
import { backendState, type Referable } from '../model/backend.ts'
import type { ErrorCode } from '../model/error-codes.ts'
import type { ServiceId } from '../model/ids.ts'
import { policiesOf, type PolicyAttachment } from '../model/policy.ts'
import { isDisplaced, namespaceOf, tlsEntries, type RouteAttachment } from '../model/route.ts'
import type { Service } from '../model/service.ts'
import { listed } from './decode/fields.ts'
import { objectKey, type ClusterObject } from './object.ts'

export interface Oddity {
  /** `TrafficPolicy default/web`. */
  readonly object: string
  readonly code: ErrorCode
  readonly field: string
  readonly message: string
}

export function oddReferences(objects: ReadonlyMap<string, ClusterObject>): Oddity[] {
  const world = new World(objects.values())
  return [...objects.values()].flatMap((object) => {
    if (object.kind === 'TrafficPolicy') return oddPolicy(object.value, world)
    return object.kind === 'TLSRoute' ? oddTlsRoute(object.value, world) : []
  })
}

/** The objects by what they are looked up by. */
class World implements Referable {
  readonly services = new Map<ServiceId, Service>()
  readonly grants: Referable['grants']
  readonly policies: ReadonlyMap<ServiceId, readonly PolicyAttachment[]>
  readonly routes: ReadonlyMap<ServiceId, readonly RouteAttachment[]>

  constructor(objects: Iterable<ClusterObject>) {
    const policies: PolicyAttachment[] = []
    const routes: RouteAttachment[] = []
    const grants: Referable['grants'][number][] = []
    for (const object of objects) {
      switch (object.kind) {
        case 'Service':
          this.services.set(object.value.id, object.value)
          break
        case 'TrafficPolicy':
          policies.push(...object.value)
          break
        case 'ReferenceGrant':
          grants.push(...object.value)
          break
        case 'HTTPRoute':
        case 'GRPCRoute':
        case 'TCPRoute':
        case 'TLSRoute':
          routes.push(...object.value)
          break
        case 'EndpointSlice':
        case 'Endpoints':
        case 'Node':
        case 'ServiceCIDR':
      }
    }
    this.grants = grants
    this.policies = Map.groupBy(policies, ({ service }) => service)
    this.routes = Map.groupBy(routes, ({ service }) => service)
  }
}

function oddPolicy(targets: readonly PolicyAttachment[], world: World): Oddity[] {
  return targets.flatMap((target, i): Oddity[] => {
    const at = `spec.targetRefs[${i}]`
    const object = objectKey('TrafficPolicy', target.id)
    const service = world.services.get(target.service)
    const wrong = oddTarget(target, service, 'the policy')
    if (wrong !== undefined || service === undefined)
      return [{ object, code: 'REFERENCE_INVALID', field: at, message: wrong ?? '' }]
    const loss = lossOf(target, service, world)
    if (loss !== undefined) return [{ object, code: 'POLICY_CONFLICT', field: at, message: loss }]
    const { send, acceptFrom } = target.connection.proxyProtocol
    if ((send === 'none' && acceptFrom.length === 0) || service.whenProxyDown === 'reject') return []
    const message = `while the proxy is down, connections of Service ${service.id} go on without the proxyProtocol of the policy`
    return [{ object, code: 'POLICY_BYPASSED', field: 'spec.proxyProtocol', message }]
  })
}

/** Why nothing of the Service is selected; undefined: something is. */
function oddTarget(
  attachment: PolicyAttachment | RouteAttachment,
  service: Service | undefined,
  who: string,
): string | undefined {
  const { service: id, port, section } = attachment
  if (service === undefined) return `there is no Service ${id}; ${who} waits for it`
  if (service.headless || service.type === 'ExternalName')
    return `Service ${id} has no ClusterIP, so its connections never reach the proxy`
  const ports = service.ports.filter((each) => selectsPort(attachment, each, service.ports))
  if (ports.some(({ protocol }) => protocol === 'TCP')) return undefined
  if (ports.length > 0)
    return `the selected ports of Service ${id} are not TCP, which is all that the proxy carries`
  const known = service.ports.map((each) => (each.name === '' ? String(each.port) : each.name))
  return `Service ${id} has no port ${section ?? port ?? ''}; it has ${listed(known).replace(' or ', ' and ')}`
}

/**
 * A policy for the whole Service that others beat on some of its ports is as intended; one that is beaten everywhere, or
 * by its like, is not.
 */
function lossOf(target: PolicyAttachment, service: Service, world: World): string | undefined {
  const all = world.policies.get(service.id) ?? []
  let wins = 0
  const lost: { readonly port: number; readonly to: PolicyAttachment }[] = []
  for (const port of service.ports) {
    if (port.protocol !== 'TCP') continue
    const selecting = policiesOf(port, service.ports, all)
    if (!selecting.includes(target)) continue
    const [first] = selecting
    if (first === undefined || first.id === target.id) wins++
    else lost.push({ port: port.port, to: first })
  }
  const alike = lost.find(({ to }) => (to.section === undefined) === (target.section === undefined))
  const told = alike ?? (wins === 0 ? lost[0] : undefined)
  if (told === undefined) return undefined
  const { port, to } = told
  return `port ${port} of Service ${service.id} follows TrafficPolicy ${to.id}, ${reasonOf(to, target)}`
}

function reasonOf(winner: PolicyAttachment, loser: PolicyAttachment): string {
  if (winner.section !== undefined && loser.section === undefined) return 'which names the port'
  return winner.createdAtMs === loser.createdAtMs ? 'which is first by name' : 'which is older'
}

function oddTlsRoute(attachments: readonly RouteAttachment[], world: World): Oddity[] {
  const [first] = attachments
  if (first === undefined) return []
  const object = objectKey('TLSRoute', first.id)
  const parents = attachments.flatMap((attachment): Oddity[] => {
    const service = world.services.get(attachment.service)
    const wrong = oddTarget(attachment, service, 'the route')
    if (wrong !== undefined || service === undefined)
      return [{ object, code: 'REFERENCE_INVALID', field: 'spec.parentRefs', message: wrong ?? '' }]
    const conflict = conflictOf(attachment, service, world)
    return conflict === undefined ? [] : [{ object, code: 'ROUTE_CONFLICT', ...conflict }]
  })
  const backends = attachments.find(({ tls }) => tls !== undefined)?.tls?.backends ?? []
  const bad = backends.flatMap(({ target }, i): Oddity[] => {
    // What is no Service at all was told when the route was read.
    if (target === undefined) return []
    const state = backendState(target, namespaceOf(first.id), world)
    if (state.kind === 'valid') return []
    const message = `${state.because}; the backend's share of the connections is refused`
    return [{ object, code: 'REFERENCE_INVALID', field: `spec.rules[0].backendRefs[${i}]`, message }]
  })
  return [...parents, ...bad]
}

function conflictOf(
  attachment: RouteAttachment,
  service: Service,
  world: World,
): Pick<Oddity, 'field' | 'message'> | undefined {
  if (attachment.tls === undefined) return undefined
  const all = world.routes.get(service.id) ?? []
  for (const port of service.ports) {
    if (port.protocol !== 'TCP' || !selectsPort(attachment, port, service.ports)) continue
    const selecting = all.filter((route) => selectsPort(route, port, service.ports))
    const where = `port ${port.port} of Service ${service.id}`
    if (isDisplaced(selecting))
      return {
        field: 'spec.parentRefs',
        message: `${where} has an HTTPRoute or a GRPCRoute, which a TLSRoute does not go with; the TLSRoute is not applied there`,
      }
    const winners = new Map(tlsEntries(selecting).map(({ hostname, route }) => [hostname, route]))
    for (const hostname of attachment.tls.hostnames) {
      const winner = winners.get(hostname)
      if (winner !== undefined && winner.id !== attachment.id)
        return {
          field: 'spec.hostnames',
          message: `${hostname === '' ? 'every name' : hostname} on ${where} follows TLSRoute ${winner.id}, which is older or first by name`,
        }
    }
  }
  return undefined
}
