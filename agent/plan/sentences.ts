// The sentences of an explanation: short, for people on a terminal.

import { hostPort, type Ip } from '../model/ip.ts'
import type { Packet } from './packet.ts'
import { proxiedText } from './policy-text.ts'
import type {
  ClientKind,
  Frontend,
  LocalDetector,
  PlanEndpoint,
  ServicePortPlan,
  SourceFilter,
  Verdict,
} from './plan.ts'

export function frontendText(port: ServicePortPlan, frontend: Frontend, destination: Ip): string {
  return `${port.key} · ${frontend.kind} ${hostPort(destination, frontend.port)}`
}

export function filterText({ cidrs, selfIps }: SourceFilter, source: Ip, allowed: boolean): string {
  const allowedText = `${source} is ${allowed ? '' : 'not '}in ${cidrs.join(', ')}`
  return selfIps.includes(source) ? `${source} is a load balancer IP of this node` : allowedText
}

export function clientText(client: ClientKind, packet: Packet, detector: LocalDetector): string {
  switch (client) {
    case 'pod':
      return `a Pod: ${podText(packet, detector)}`
    case 'host':
      return `this node: ${packet.source} is one of its own addresses`
    case 'outside':
      return detector.kind === 'none'
        ? `outside: ${packet.source} is not an address of this node, and Pods cannot be told`
        : `outside: ${packet.source} is neither a Pod's by the local detector nor this node's`
  }
}

function podText({ source, inInterface }: Packet, detector: LocalDetector): string {
  switch (detector.kind) {
    case 'cidr':
      return `${source} is in ${detector.cidr}`
    case 'interface':
      return `the packet comes in by ${detector.name}`
    case 'interfacePrefix':
      return `the packet comes in by ${inInterface}, which begins with ${detector.prefix}`
    case 'none':
      return source
  }
}

export function verdictText(
  verdict: Verdict,
  port: ServicePortPlan,
  frontend: Frontend,
  client: ClientKind,
): string {
  const policy =
    frontend.kind === 'ClusterIP'
      ? `internalTrafficPolicy ${port.internalTrafficPolicy}`
      : `externalTrafficPolicy ${port.externalTrafficPolicy}`
  switch (verdict.kind) {
    case 'reject':
      return 'reject: the Service port has no usable endpoint'
    case 'drop':
      return `drop: ${policy}, and no endpoint is on this node`
    case 'pass':
      return 'pass: no usable endpoint, and what the node itself sends to this address is not rejected'
    case 'forward': {
      const shortCircuit =
        frontend.kind !== 'ClusterIP' && port.externalTrafficPolicy === 'Local' && client !== 'outside'
      const pool =
        verdict.pool === 'local'
          ? 'the endpoints of this node'
          : `any endpoint${shortCircuit ? ', because the client is inside the cluster' : ''}`
      return `forward: ${policy}, ${pool}; ${verdict.masquerade ? 'masquerade' : 'keep the source'}`
    }
  }
}

export function endpointsText(
  pool: readonly PlanEndpoint[],
  port: ServicePortPlan,
  { steered }: Pick<Frontend, 'steered'>,
): string {
  const terminating = pool.some(({ state }) => state === 'terminating') ? ', all terminating' : ''
  const affinity =
    port.affinitySeconds === undefined ? '' : `; the client keeps its endpoint for ${port.affinitySeconds} s`
  const kernel = pool.length === 1 ? 'the only one' : `random over ${pool.length}`
  const proxy = steered ? proxyChoice(port) : undefined
  const choice = proxy === undefined ? kernel : `${proxy} by the proxy, ${kernel} by the kernel`
  return `${choice}${terminating}${affinity}`
}

/** undefined: it chooses as the kernel does. */
function proxyChoice({ policy, tlsRoutes, cluster, local }: ServicePortPlan): string | undefined {
  if (tlsRoutes.length > 0) return 'routed'
  const kind = policy?.connection.balancer.kind ?? 'Random'
  if (kind !== 'Random') return kind
  return [...cluster, ...local].some(({ weight }) => weight !== undefined) ? 'weighted' : undefined
}

export function steeringText(port: ServicePortPlan, frontend: Frontend): string {
  const { steering } = port
  const refused = frontend.proxyOnly
    ? '; refused, because the Service must not be reached around the proxy'
    : ''
  if (steering.kind === 'none') return `not steered: ${steering.because}${refused}`
  if (!frontend.steered)
    return `not steered: this address does not forward every client in every family${refused}`
  const down = frontend.proxyOnly ? 'refuse' : 'the kernel balances'
  const proxied = proxiedText(port)
  return `to the proxy (by ${steering.because}); when it is down: ${down}${proxied === '' ? '' : `; ${proxied}`}`
}
