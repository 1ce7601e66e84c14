// Plan -> ProxyView, pure. The view has only what is steered: TCP frontends, the pools of their Service ports and those of
// the backends of their routes, so a node on which nothing is steered sends the proxy next to nothing, whatever the number
// of Services.

import { DEFAULT_CONNECTION_POLICY } from '../model/connection-policy.ts'
import { equal } from '../model/equal.ts'
import type { ServicePortKey } from '../model/ids.ts'
import { FAMILIES } from '../model/ip.ts'
import type {
  FamilyPlan,
  Frontend,
  Plan,
  PlanEndpoint,
  PlanTlsRoute,
  ServicePortPlan,
  Verdict,
} from '../plan/plan.ts'
import { frontendKey } from '../proxy/decision/key.ts'
import {
  VIEW_VERSION,
  type PoolName,
  type ProxyView,
  type ViewDelta,
  type ViewEndpoint,
  type ViewFrontend,
  type ViewNode,
  type ViewService,
  type ViewTlsRoute,
} from '../proxy/decision/view.ts'

/**
 * A Service that is steered in both families is one entry, IPv4 endpoints first (a backend that is steered in one alone has
 * that one's first): the proxy uses those of the family that the client dialled. The same holds for its NodePort, whose
 * key has no address.
 */
export function publishView(plan: Plan, { epoch }: { readonly epoch: string }): ProxyView {
  const families = familiesOf(plan)
  const frontends: Record<string, ViewFrontend> = {}
  const services: Record<ServicePortKey, ViewService> = {}
  const backends = new Set<ServicePortKey>()
  const add = (port: ServicePortPlan): void => {
    const known = services[port.key]
    const view = viewService(port)
    services[port.key] = known === undefined ? view : bothFamilies(known, view)
  }
  for (const { ports } of families)
    for (const port of ports.values()) {
      if (port.steering.kind !== 'steered') continue
      for (const frontend of port.frontends) {
        if (!frontend.steered) continue
        const view = viewFrontend(port, frontend)
        if (view !== undefined) frontends[frontendKey(frontend.ip, frontend.port)] = view
      }
      add(port)
      collectBackends(port, backends)
    }
  // Backends that are not steered have an entry without a frontend.
  for (const { ports } of families)
    for (const key of backends) {
      const port = ports.get(key)
      if (port !== undefined && port.steering.kind !== 'steered') add(port)
    }
  // A valid backend without an address in a family of this node has no Service port in the plan.
  for (const key of backends) services[key] ??= { key, cluster: [], local: [] }
  return {
    version: VIEW_VERSION,
    epoch,
    generation: plan.generation,
    node: viewNode(plan),
    frontends,
    services,
  }
}

function collectBackends({ tlsRoutes }: ServicePortPlan, keys: Set<ServicePortKey>): void {
  for (const { backends } of tlsRoutes)
    for (const { service } of backends) if (service !== null) keys.add(service)
}

/**
 * What turns `from` into `to`; undefined if no delta leads there (another epoch or version, or not a later generation)
 * and only a snapshot will do. Equal content gives a delta without entries, which keeps the generations in step.
 */
export function diffView(from: ProxyView, to: ProxyView): ViewDelta | undefined {
  if (from.version !== to.version || from.epoch !== to.epoch || to.generation <= from.generation)
    return undefined
  return {
    version: VIEW_VERSION,
    epoch: to.epoch,
    from: from.generation,
    to: to.generation,
    ...(equal(from.node, to.node) ? {} : { node: to.node }),
    frontends: diffRecord(from.frontends, to.frontends),
    services: diffRecord(from.services, to.services),
  }
}

function familiesOf(plan: Plan): FamilyPlan[] {
  return FAMILIES.flatMap((family) => plan.families[family] ?? [])
}

function viewNode(plan: Plan): ViewNode {
  const families = familiesOf(plan)
  return {
    name: plan.options.nodeName,
    podCidrs: families.flatMap(({ localDetector }) =>
      localDetector.kind === 'cidr' ? [localDetector.cidr] : [],
    ),
    addresses: families.flatMap(({ nodeAddresses }) => nodeAddresses),
  }
}

function viewFrontend(port: ServicePortPlan, { kind, verdicts }: Frontend): ViewFrontend | undefined {
  const pod = poolOf(verdicts.pod)
  const host = poolOf(verdicts.host)
  const outside = poolOf(verdicts.outside)
  // A steered frontend forwards everybody; one that does not is the kernel's.
  if (pod === undefined || host === undefined || outside === undefined) return undefined
  return { service: port.key, kind, pool: { pod, host, outside } }
}

function poolOf(verdict: Verdict): PoolName | undefined {
  return verdict.kind === 'forward' ? verdict.pool : undefined
}

/** A Service port keeps its object as long as its content, so its entry does too, and diffView is quick. */
const viewsOfPorts = new WeakMap<ServicePortPlan, ViewService>()

function viewService(port: ServicePortPlan): ViewService {
  const known = viewsOfPorts.get(port)
  if (known !== undefined) return known
  const made = {
    key: port.key,
    cluster: port.cluster.map(viewEndpoint),
    local: port.local.map(viewEndpoint),
    ...(port.affinitySeconds === undefined ? {} : { affinitySeconds: port.affinitySeconds }),
    ...(port.policy === undefined || equal(port.policy.connection, DEFAULT_CONNECTION_POLICY)
      ? {}
      : { policy: port.policy.connection }),
    ...(port.tlsRoutes.length === 0 ? {} : { tlsRoutes: port.tlsRoutes.map(viewTlsRoute) }),
  }
  viewsOfPorts.set(port, made)
  return made
}

/** The same for the entry of both families, by that of the first. */
const viewsOfBoth = new WeakMap<ViewService, { readonly second: ViewService; readonly both: ViewService }>()

/** Policy and routes are the same in both. */
function bothFamilies(first: ViewService, second: ViewService): ViewService {
  const known = viewsOfBoth.get(first)
  if (known?.second === second) return known.both
  const both = {
    ...first,
    cluster: [...first.cluster, ...second.cluster],
    local: [...first.local, ...second.local],
  }
  viewsOfBoth.set(first, { second, both })
  return both
}

function viewEndpoint({ ip, port, local, weight }: PlanEndpoint): ViewEndpoint {
  return weight === undefined ? { ip, port, local } : { ip, port, local, weight }
}

function viewTlsRoute({ route, hostname, backends }: PlanTlsRoute): ViewTlsRoute {
  return {
    route,
    hostname,
    backends: backends.map(({ service, pool, weight }) => ({ service, pool, weight })),
  }
}

function diffRecord<V>(
  from: Readonly<Record<string, V>>,
  to: Readonly<Record<string, V>>,
): Record<string, V | null> {
  const changes: Record<string, V | null> = {}
  for (const [key, value] of Object.entries(to)) {
    const old = from[key]
    if (old !== value && !equal(old, value)) changes[key] = value
  }
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) changes[key] = null
  return changes
}
