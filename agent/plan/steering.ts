// Which frontends go to the proxy, and for every Service port that does not, why not in a sentence an operator can act
// on. A frontend is steered only if it is TCP and forwards every kind of client; the others keep the kernel's exact
// reject, drop or pass.

import { hostPort } from '../model/ip.ts'
import type { PolicyAttachment } from '../model/policy.ts'
import { selectsPort } from '../model/attachment.ts'
import type { RouteAttachment } from '../model/route.ts'
import type { Service, ServicePort } from '../model/service.ts'
import type { NodeFacts } from './node-facts.ts'
import type { Frontend, PlanEndpoint, PlanOptions, Steering, SteeringReason } from './plan.ts'

/** A frontend before steering is decided. */
export type FrontendDraft = Omit<Frontend, 'steered' | 'proxyOnly'>

/** The objects that select some port of a Service. */
export interface Asking {
  readonly routes: readonly RouteAttachment[]
  readonly policies: readonly PolicyAttachment[]
}

/**
 * Whether anybody asks for it: `never` on the Service beats all, then `never` of the node, then the first of annotation,
 * route, policy and option.
 */
export function wantedSteering(
  service: Service,
  port: ServicePort,
  asking: Asking,
  options: Pick<PlanOptions, 'steer'>,
): Steering {
  if (service.steer === 'never') return none('the Service says shunt.dev/steer: never')
  if (options.steer === 'never') return none('the agent was started with --steer never')
  const because = reason(service, port, asking, options)
  if (because === undefined)
    return none('no route or policy selects this port and nothing asks for the proxy')
  if (port.protocol !== 'TCP') return none(`the proxy carries TCP, this port is ${port.protocol}`)
  return { kind: 'steered', because, whenProxyDown: service.whenProxyDown }
}

function reason(
  service: Service,
  port: ServicePort,
  { routes, policies }: Asking,
  options: Pick<PlanOptions, 'steer'>,
): SteeringReason | undefined {
  if (service.steer === 'always') return 'annotation'
  if (routes.some((route) => selectsPort(route, port, service.ports))) return 'route'
  if (policies.some((policy) => selectsPort(policy, port, service.ports))) return 'policy'
  return options.steer === 'always' ? 'option' : undefined
}

/** What is wanted, held to what one family can do. `endpoints`: those of any pool. */
export function possibleSteering(
  wanted: Steering,
  frontends: readonly FrontendDraft[],
  endpoints: readonly Pick<PlanEndpoint, 'ip' | 'port'>[],
  { mechanism }: PlanOptions['steering'],
  { family, localDetector: detector, nodeAddresses }: NodeFacts,
): Steering {
  if (wanted.kind === 'none') return wanted
  if (mechanism === 'off') return none('steering is off on this node')
  if (mechanism === 'dnat' && nodeAddresses.length === 0)
    return none(`the node has no ${family} address, to which connections for the proxy would be sent`)
  const steerable = frontends.filter(forwardsAll)
  if (steerable.length === 0)
    return none('none of its addresses forwards every client now, so the kernel rejects or drops by itself')
  // An ingress of the host network with the node's own address as external IP. The kernel serves it; the proxy's loop
  // protection would refuse to connect to an address that is steered to it. A ClusterIP is nobody's address: an endpoint
  // there is a mistake, and the loop that the protection is for.
  const itself = steerable.find(
    ({ kind, ip, port }) =>
      kind !== 'ClusterIP' && endpoints.some((each) => each.ip === ip && each.port === port),
  )
  if (itself?.ip !== undefined)
    return none(`its endpoint ${hostPort(itself.ip, itself.port)} is one of its own addresses`)
  const byInterface = detector.kind === 'interface' || detector.kind === 'interfacePrefix'
  if (byInterface && steerable.some(podsUseAnotherPool))
    return none(
      'its Local policy treats Pods apart, and this node tells Pods by the interface, which the proxy cannot see',
    )
  return wanted
}

/** All three kinds of clients reach an endpoint. */
export function forwardsAll({ verdicts }: Pick<Frontend, 'verdicts'>): boolean {
  return (
    verdicts.pod.kind === 'forward' && verdicts.host.kind === 'forward' && verdicts.outside.kind === 'forward'
  )
}

/** Some kind of client reaches an endpoint. */
export function forwardsAny({ verdicts }: Pick<Frontend, 'verdicts'>): boolean {
  return [verdicts.pod, verdicts.host, verdicts.outside].some(({ kind }) => kind === 'forward')
}

function podsUseAnotherPool({ verdicts }: Pick<Frontend, 'verdicts'>): boolean {
  const { pod, outside } = verdicts
  return pod.kind === 'forward' && outside.kind === 'forward' && pod.pool !== outside.pool
}

function none(because: string): Steering {
  return { kind: 'none', because }
}
