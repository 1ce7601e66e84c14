// Which addresses of a Service port are captured on this node (rows 1, 2, 5, 14, 15, 21 to 23), and the load balancer
// source ranges that guard some of them (rows 24 to 27).

import { cidrContains, cidrFamily, prefixLengthOf, type Cidr } from '../model/cidr.ts'
import { compareIp, familyOf, type Family, type Ip } from '../model/ip.ts'
import type { Port } from '../model/port.ts'
import type { Service, ServicePort, TrafficPolicy } from '../model/service.ts'
import type { FrontendKind, PlanOptions, SourceFilter } from './plan.ts'

/** An address that clients dial, before anything is decided about it. */
export interface Address {
  readonly kind: FrontendKind
  /** undefined: NodePort. */
  readonly ip: Ip | undefined
  readonly port: Port
}

/**
 * The addresses of one port in one family, in the order of ServicePortPlan.frontends. Empty for a Service that is not
 * proxied in the family: without a ClusterIP of it there is nothing at all, NodePorts included (row 5). An address that
 * is both an external IP and a load balancer IP is the former, so it has no source ranges (row 22).
 */
export function addressesOf(
  service: Service,
  port: ServicePort,
  family: Family,
  options: Pick<PlanOptions, 'allowExternalIps'>,
): Address[] {
  const clusterIp = clusterIpOf(service, family)
  if (clusterIp === undefined) return []
  const addresses: Address[] = [{ kind: 'ClusterIP', ip: clusterIp, port: port.port }]
  const add = (kind: FrontendKind, ips: readonly Ip[]): void => {
    for (const ip of ips.length > 1 ? [...ips].sort(compareIp) : ips)
      if (!addresses.some((known) => known.ip === ip)) addresses.push({ kind, ip, port: port.port })
  }
  if (options.allowExternalIps)
    add(
      'ExternalIP',
      service.externalIps.filter((ip) => familyOf(ip) === family),
    )
  add('LoadBalancerIP', loadBalancerIps(service, family))
  if (port.nodePort !== 0) addresses.push({ kind: 'NodePort', ip: undefined, port: port.nodePort })
  return addresses
}

/** Row 21: entries of mode Proxy are not captured, the packet has to travel to the load balancer. */
function loadBalancerIps(service: Service, family: Family): Ip[] {
  return service.loadBalancer
    .filter(({ ip, mode }) => mode === 'VIP' && familyOf(ip) === family)
    .map(({ ip }) => ip)
}

/** The Service's ClusterIP of a family; undefined: the Service is not proxied in it (rows 1, 2, 5). */
function clusterIpOf(service: Service, family: Family): Ip | undefined {
  if (service.headless || service.foreignProxy || service.type === 'ExternalName') return undefined
  return service.clusterIps.find((ip) => familyOf(ip) === family)
}

/** Row 40: what the API allows to be set but means nothing is Cluster. */
export function effectiveExternalPolicy(service: Service): TrafficPolicy {
  const honoured = service.type !== 'ClusterIP' || service.externalIps.length > 0
  return honoured ? service.externalTrafficPolicy : 'Cluster'
}

export interface SourceFilterFacts {
  readonly semantics: PlanOptions['semantics']
  readonly hasEndpoints: boolean
  /** The node's primary address of the family. */
  readonly nodeIp: Ip | undefined
}

/**
 * The filter of a Service's load balancer IPs in one family; undefined: anybody. Ranges of the other family alone, or
 * one of length zero, restrict nothing (row 26). The iptables column has no filter while there is no endpoint: everybody
 * is rejected alike (row 27). Sources equal to one of the load balancer IPs pass if the node is in the ranges, because
 * the node may reach the address by itself with that source (row 25).
 */
export function sourceFilterOf(
  service: Service,
  family: Family,
  facts: SourceFilterFacts,
): SourceFilter | undefined {
  const cidrs = distinct(service.sourceRanges.filter((cidr) => cidrFamily(cidr) === family))
  if (cidrs.length === 0 || cidrs.some((cidr) => prefixLengthOf(cidr) === 0)) return undefined
  if (facts.semantics === 'iptables' && !facts.hasEndpoints) return undefined
  const { nodeIp } = facts
  const nodeInside = nodeIp !== undefined && cidrs.some((cidr) => cidrContains(cidr, nodeIp))
  const selfIps = nodeInside ? [...new Set(loadBalancerIps(service, family))].sort(compareIp) : []
  return { cidrs, selfIps }
}

function distinct(cidrs: readonly Cidr[]): Cidr[] {
  return [...new Set(cidrs)].sort()
}
