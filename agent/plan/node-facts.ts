// What the node contributes to a family's plan: how it tells Pods (rows 64, 65), where NodePorts answer (rows 16, 17,
// 19), its own addresses and the ServiceCIDRs.

import { cidrFamily, hostCidr, prefixLengthOf, type Cidr } from '../model/cidr.ts'
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import type { FamilyPlan, LocalDetector, NodePortAddresses, PlanOptions } from './plan.ts'
import type { Snapshot } from './snapshot.ts'

/** A family's plan without what comes from Services. */
export type NodeFacts = Omit<FamilyPlan, 'ports' | 'conflicts'>

export function nodeFacts(
  family: Family,
  snapshot: Pick<Snapshot, 'node' | 'serviceCidrs'>,
  options: PlanOptions,
): NodeFacts {
  const addresses = snapshot.node?.addresses.filter((ip) => familyOf(ip) === family) ?? []
  return {
    family,
    localDetector: localDetector(family, snapshot.node?.podCidrs ?? [], options),
    nodePortAddresses: nodePortAddresses(family, addresses[0], options),
    nodeAddresses: [...new Set(addresses)],
    serviceCidrs: [...new Set(snapshot.serviceCidrs.filter((cidr) => cidrFamily(cidr) === family))].sort(),
  }
}

/** A mode that goes by range uses the first of the family; a family without one has no detector (row 64). */
function localDetector(family: Family, podCidrs: readonly Cidr[], options: PlanOptions): LocalDetector {
  const option = options.localDetector
  switch (option.kind) {
    case 'none':
      return { kind: 'none' }
    case 'clusterCidr':
      return byRange(option.cidrs, family)
    case 'nodeCidr':
      return byRange(podCidrs, family)
    case 'bridgeInterface':
      return { kind: 'interface', name: option.name }
    case 'interfaceNamePrefix':
      return { kind: 'interfacePrefix', prefix: option.prefix }
  }
}

function byRange(cidrs: readonly Cidr[], family: Family): LocalDetector {
  const cidr = cidrs.find((cidr) => cidrFamily(cidr) === family)
  return cidr === undefined ? { kind: 'none' } : { kind: 'cidr', cidr }
}

/**
 * Ranges of the other family alone leave this one wide open, and a range of length zero makes the others moot (row 16,
 * trap 23). `primary` before the Node is known answers nowhere: open would be more than was asked for.
 */
function nodePortAddresses(family: Family, primary: Ip | undefined, options: PlanOptions): NodePortAddresses {
  // Row 19: the other columns and IPv6 have no way to serve them.
  const loopback = options.semantics === 'iptables' && family === 'IPv4' && options.localhostNodePorts
  const option = options.nodePortAddresses
  const wanted =
    option.kind === 'default' ? (options.semantics === 'nftables' ? 'primary' : 'cidrs') : option.kind
  if (wanted === 'primary')
    return { kind: 'within', cidrs: primary === undefined ? [] : [hostCidr(primary)], loopback }
  const listed = option.kind === 'cidrs' ? option.cidrs : []
  const cidrs = [...new Set(listed.filter((cidr) => cidrFamily(cidr) === family))].sort()
  if (cidrs.length === 0 || cidrs.some((cidr) => prefixLengthOf(cidr) === 0))
    return { kind: 'allLocal', loopback }
  return { kind: 'within', cidrs, loopback }
}
