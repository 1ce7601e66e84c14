// Who opened a connection, in the order in which kube-proxy's rules ask (see ClientKind in the plan): a Pod by the
// local detector, then the node itself, then everybody else.

import { cidrContains } from '../../model/cidr.ts'
import { isLoopback, type Ip } from '../../model/ip.ts'
import type { ViewNode } from './view.ts'

export type ClientKind = 'pod' | 'host' | 'outside'

/** Addresses that the node has now. The API knows only some of them: bridges and loopback aliases are its too. */
export interface LocalAddresses {
  has(ip: Ip): boolean
}

/** `destination` is the original one: a process that dials a local address may have that very address as source. */
export function clientKind(client: Ip, destination: Ip, node: ViewNode, local: LocalAddresses): ClientKind {
  if (node.podCidrs.some((cidr) => cidrContains(cidr, client))) return 'pod'
  return client === destination || isNodeAddress(client, node, local) ? 'host' : 'outside'
}

/** True for the node's own addresses, by the API or by its interfaces, and for loopback. */
export function isNodeAddress(ip: Ip, node: ViewNode, local: LocalAddresses): boolean {
  return isLoopback(ip) || node.addresses.includes(ip) || local.has(ip)
}
