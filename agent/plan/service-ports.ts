// One Service made into its Service ports, in every family of the node at once, because whether a NodePort is steered is
// one answer for both families.

import type { EndpointSlice } from '../model/endpoint.ts'
import { servicePortKey, type ServicePortKey } from '../model/ids.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { WeightRule } from '../model/policy.ts'
import type { RouteAttachment } from '../model/route.ts'
import type { Service, ServicePort } from '../model/service.ts'
import { winnerOf, type Claim, type ClaimIndex } from './claims.ts'
import { endpointPools, mergeSlices, type EndpointPools } from './endpoints.ts'
import { addressesOf, effectiveExternalPolicy, sourceFilterOf, type Address } from './frontends.ts'
import type { NodeFacts } from './node-facts.ts'
import type { PlanOptions, ServicePortPlan, Steering } from './plan.ts'
import { policyOf } from './policies.ts'
import {
  forwardsAll,
  forwardsAny,
  possibleSteering,
  wantedSteering,
  type Asking,
  type FrontendDraft,
} from './steering.ts'
import { routedEndpoints, tlsRoutesOf, type World } from './tls-routes.ts'
import { verdictsOf } from './verdicts.ts'

export type ByFamily<T> = Readonly<Partial<Record<Family, T>>>

/** What all Services of a plan are seen against. */
export interface Setting {
  readonly options: PlanOptions
  readonly zone: string
  readonly facts: ByFamily<NodeFacts>
  readonly claims: ByFamily<ClaimIndex>
  /** What routes may refer to. */
  readonly world: World
}

/** What says something of one Service. */
export interface Attached extends Asking {
  readonly slices: readonly EndpointSlice[]
}

interface Draft {
  readonly facts: NodeFacts
  readonly pools: EndpointPools
  readonly frontends: readonly FrontendDraft[]
}

/** What the proxy does with the connections that it is given. */
type Proxied = Pick<ServicePortPlan, 'policy' | 'tlsRoutes'>

interface Drafted {
  readonly service: Service
  readonly port: ServicePort
  readonly key: ServicePortKey
  readonly slices: readonly EndpointSlice[]
  /** Whose backends stand in for endpoints that the port has not; empty for a port that cannot be steered. */
  readonly routes: readonly RouteAttachment[]
  readonly weights: readonly WeightRule[]
}

interface Steered extends Proxied {
  /** What is asked for. */
  readonly wanted: Steering
  /** What becomes of it in this family. */
  readonly steering: Steering
  readonly steered: ReadonlySet<FrontendDraft>
}

/** The Service ports of one Service; none for a Service that is not proxied here. */
export function servicePorts(service: Service, attached: Attached, setting: Setting): ServicePortPlan[] {
  const plans: ServicePortPlan[] = []
  for (const [key, port] of portsByKey(service)) {
    const wanted = wantedSteering(service, port, attached, setting.options)
    const chosen = policyOf(service, port, attached.policies)
    const proxied: Proxied = {
      policy: chosen?.policy,
      tlsRoutes: tlsRoutesOf(service, port, attached.routes, setting.world),
    }
    const steerable = wanted.kind === 'steered' && setting.options.steering.mechanism !== 'off'
    const drafted: Drafted = {
      service,
      port,
      key,
      slices: attached.slices,
      routes: steerable ? attached.routes : [],
      weights: chosen?.weights ?? [],
    }
    const drafts: Draft[] = []
    for (const family of FAMILIES) {
      const facts = setting.facts[family]
      const made = facts && draft(drafted, facts, setting)
      if (made !== undefined) drafts.push(made)
    }
    const oneNodePort = nodePortSteerable(port, key, drafts, setting)
    for (const draft of drafts) {
      const eligible = draft.frontends.filter(({ kind }) => oneNodePort || kind !== 'NodePort')
      const endpoints = [...draft.pools.cluster, ...draft.pools.local]
      const steering = possibleSteering(wanted, eligible, endpoints, setting.options.steering, draft.facts)
      const steered = new Set(steering.kind === 'steered' ? eligible.filter(forwardsAll) : [])
      plans.push(finish(service, port, key, draft, { wanted, steering, steered, ...proxied }))
    }
  }
  return plans
}

/** What a Service claims in one family. */
export function claimsOf(
  service: Service,
  family: Family,
  options: Pick<PlanOptions, 'allowExternalIps'>,
): Claim[] {
  const claims: Claim[] = []
  for (const [key, port] of portsByKey(service)) {
    const { protocol } = port
    for (const address of addressesOf(service, port, family, options))
      claims.push({ key, service: service.id, protocol, address })
  }
  return claims
}

/** The ports by their key; of two with the same name and protocol, which the API refuses, the first stands. */
export function portsByKey(service: Service): ReadonlyMap<ServicePortKey, ServicePort> {
  const ports = new Map<ServicePortKey, ServicePort>()
  for (const port of service.ports) {
    const key = servicePortKey(service.id, port.name, port.protocol)
    if (!ports.has(key)) ports.set(key, port)
  }
  return ports
}

function draft(
  { service, port, key, slices, routes, weights }: Drafted,
  facts: NodeFacts,
  setting: Setting,
): Draft | undefined {
  const { options } = setting
  const { family } = facts
  const addresses = addressesOf(service, port, family, options)
  if (addresses.length === 0) return undefined
  const claims = setting.claims[family]
  const merged = mergeSlices(slices, family, port.name, port.protocol)
  const place = { nodeName: options.nodeName, zone: setting.zone }
  const own = endpointPools(merged, place, weights)
  const pools = own.hasEndpoints
    ? own
    : endpointPools(routedEndpoints(routes, service, port, family, setting.world), place, weights)
  const { semantics } = options
  const verdictFacts = {
    semantics,
    masqueradeAll: options.masqueradeAll,
    hasDetector: facts.localDetector.kind !== 'none',
    hasEndpoints: pools.hasEndpoints,
    hasLocalEndpoints: pools.local.length > 0,
    internalTrafficPolicy: service.internalTrafficPolicy,
    externalTrafficPolicy: effectiveExternalPolicy(service),
  }
  const nodeIp = facts.nodeAddresses[0]
  const sources = sourceFilterOf(service, family, { semantics, hasEndpoints: pools.hasEndpoints, nodeIp })
  const frontends = addresses
    .filter((address) => claims === undefined || winnerOf(claims, address, port.protocol)?.key === key)
    .map((address) => ({
      ...address,
      verdicts: verdictsOf(address.kind, verdictFacts),
      sources: address.kind === 'LoadBalancerIP' ? sources : undefined,
    }))
  return { facts, pools, frontends }
}

/**
 * A steered NodePort is a bare port number to the proxy, without an address and so without a family. It is steered only
 * if every family that has it forwards it, and for the same Service port.
 */
function nodePortSteerable(
  { nodePort, protocol }: ServicePort,
  key: ServicePortKey,
  drafts: readonly Draft[],
  { claims }: Setting,
): boolean {
  const address: Address = { kind: 'NodePort', ip: undefined, port: nodePort }
  const sameOwner = FAMILIES.every((family) => {
    const winner = claims[family] && winnerOf(claims[family], address, protocol)
    return winner === undefined || winner.key === key
  })
  const nodePorts = drafts.flatMap(({ frontends }) => frontends.filter(({ kind }) => kind === 'NodePort'))
  return sameOwner && nodePorts.every(forwardsAll)
}

function finish(
  service: Service,
  port: ServicePort,
  key: ServicePortKey,
  { facts, pools, frontends }: Draft,
  { wanted, steering, steered, policy, tlsRoutes }: Steered,
): ServicePortPlan {
  const demanded = wanted.kind === 'steered' && wanted.whenProxyDown === 'reject'
  const externalTrafficPolicy = effectiveExternalPolicy(service)
  return {
    key,
    family: facts.family,
    namespace: service.namespace,
    service: service.name,
    portName: port.name,
    protocol: port.protocol,
    appProtocol: port.appProtocol ?? '',
    frontends: frontends.map((frontend) => ({
      ...frontend,
      steered: steered.has(frontend),
      proxyOnly: demanded && forwardsAny(frontend),
    })),
    cluster: pools.cluster,
    local: pools.local,
    hasEndpoints: pools.hasEndpoints,
    affinitySeconds: service.affinity.kind === 'ClientIP' ? service.affinity.timeoutSeconds : undefined,
    internalTrafficPolicy: service.internalTrafficPolicy,
    externalTrafficPolicy,
    healthCheckNodePort:
      service.type === 'LoadBalancer' && externalTrafficPolicy === 'Local' ? service.healthCheckNodePort : 0,
    steering,
    policy,
    tlsRoutes,
  }
}
