// Packets that no frontend has: rows 29 and 30, where the columns differ, and the reasons that an operator wants to hear.

import { cidrContains } from '../model/cidr.ts'
import { hostPort, isLoopback } from '../model/ip.ts'
import { isLocalAddress } from './clients.ts'
import type { Explanation, Outcome } from './explanation.ts'
import { clusterIpOwner, findFrontend } from './lookup.ts'
import type { NodeWorld, Packet } from './packet.ts'
import type { FamilyPlan, PlanOptions } from './plan.ts'

export function explainMiss(
  semantics: PlanOptions['semantics'],
  plan: FamilyPlan,
  packet: Packet,
  world: NodeWorld,
): Explanation {
  const { destination, port, protocol } = packet
  const target = `${hostPort(destination, port)}/${protocol}`
  // The checks of both rows hang on FORWARD and OUTPUT; what comes in for the node itself does not meet them.
  const checked =
    semantics === 'nftables' && !(packet.inInterface !== '' && isLocalAddress(destination, world))

  const owner = clusterIpOwner(plan, destination)
  if (owner !== undefined) {
    const text = `no Service has ${target}; the address is the ClusterIP of ${owner}`
    if (checked) return miss(text, { kind: 'reject' })
    return miss(text, { kind: 'pass', because: 'unknown ports of a ClusterIP are left alone' })
  }
  const range = plan.serviceCidrs.find((cidr) => cidrContains(cidr, destination))
  if (range !== undefined) {
    const text = `no Service has ${target}; the address is free in the Service range ${range}`
    if (checked) return miss(text, { kind: 'drop', because: 'the address is not allocated to any Service' })
    return miss(text, { kind: 'pass', because: 'unallocated Service addresses are left alone' })
  }
  if (findFrontend(plan, undefined, port, protocol) !== undefined && isLocalAddress(destination, world)) {
    const why = isLoopback(destination)
      ? 'NodePorts are not served on loopback here'
      : 'the address is not among nodePortAddresses'
    return miss(`${target} is a NodePort, but ${why}`, { kind: 'pass', because: why })
  }
  return miss(`no Service has ${target}`, { kind: 'pass', because: 'not a Service address' })
}

function miss(text: string, outcome: Outcome): Explanation {
  return { steps: [{ label: 'frontend', text }], outcome, match: undefined }
}
