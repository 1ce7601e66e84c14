// Words for the parts of a Plan, shared by every command that shows one.

import { hostPort, type Family } from '../model/ip.ts'
import type { FamilyPlan, Frontend, Plan, PlanEndpoint, ServicePortPlan, Verdict } from '../plan/plan.ts'

/** `namespace/name`. */
export function serviceName(port: ServicePortPlan): string {
  return `${port.namespace}/${port.service}`
}

/** `8080/TCP`, or `web 8080/TCP` for a port with a name. */
export function portName(port: ServicePortPlan): string {
  const number = port.frontends.find((frontend) => frontend.kind !== 'NodePort')?.port
  const text = `${number ?? '?'}/${port.protocol}`
  return port.portName === '' ? text : `${port.portName} ${text}`
}

/** `10.97.95.146:8080`, `*:31286` for a NodePort. */
export function frontendAddress(frontend: Frontend): string {
  return frontend.ip === undefined ? `*:${frontend.port}` : hostPort(frontend.ip, frontend.port)
}

/** `172.17.0.5:8080`. */
export function endpointAddress(endpoint: PlanEndpoint): string {
  return hostPort(endpoint.ip, endpoint.port)
}

/** Everything that some client may be sent to, each once, in the order of the pools. */
export function allEndpoints(port: ServicePortPlan): readonly PlanEndpoint[] {
  const seen = new Map(
    [...port.cluster, ...port.local].map((endpoint) => [endpointAddress(endpoint), endpoint]),
  )
  return [...seen.values()]
}

/** `ready · this node`, `terminating · node worker-2 · weight 3`. */
export function endpointCondition(endpoint: PlanEndpoint): string {
  const where = endpoint.local
    ? 'this node'
    : endpoint.nodeName === ''
      ? 'elsewhere'
      : `node ${endpoint.nodeName}`
  const weight = endpoint.weight === undefined ? '' : ` · weight ${endpoint.weight}`
  return `${endpoint.state} · ${where}${weight}`
}

/** `yes (annotation)`, `yes (policy default/slow)`, `yes (route), policy default/slow`, or why not. */
export function steeringText({ steering, policy }: ServicePortPlan): string {
  if (steering.kind === 'none') return `no (${steering.because})`
  if (policy === undefined) return `yes (${steering.because})`
  return steering.because === 'policy'
    ? `yes (policy ${policy.id})`
    : `yes (${steering.because}), policy ${policy.id}`
}

export function verdictText(verdict: Verdict): string {
  if (verdict.kind !== 'forward') return verdict.kind
  return `forward to ${verdict.pool}${verdict.masquerade ? ', masqueraded' : ''}`
}

/** Every Service port of every family, in the order of the plan. */
export function allPorts(plan: Plan): readonly ServicePortPlan[] {
  return familyPlans(plan).flatMap((family) => [...family.ports.values()])
}

/** IPv4 first. */
export function familyPlans(plan: Plan): readonly FamilyPlan[] {
  const order: readonly Family[] = ['IPv4', 'IPv6']
  return order.map((family) => plan.families[family]).filter((family) => family !== undefined)
}

/** Those of `NAMESPACE/NAME` or, without a slash, of that name in every namespace; all if nothing is asked for. */
export function portsOfService(plan: Plan, service: string | undefined): readonly ServicePortPlan[] {
  const ports = allPorts(plan)
  if (service === undefined) return ports
  return ports.filter((port) =>
    service.includes('/') ? serviceName(port) === service : port.service === service,
  )
}
