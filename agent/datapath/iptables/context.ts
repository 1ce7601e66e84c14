// What all rules of one family share besides the Services: resolved once per render.

import { networkOf, parseCidr, prefixLengthOf, type Cidr } from '../../model/cidr.ts'
import { ipBytes, ipFromBytes, type Family, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import type { FamilyPlan, LocalDetector, NodePortAddresses, Plan, SteeringPlan } from '../../plan/plan.ts'
import { cidrContains } from '../../model/cidr.ts'
import { notTo, to } from './rule.ts'

/** Chosen once, when the datapath is made. */
export interface RenderSettings {
  /** Row 61: the bit that asks for masquerading; bit 14 by default. */
  readonly masqueradeMark: number
  /** Row 63: false if `nf_conntrack_tcp_be_liberal` was set at start. */
  readonly dropInvalid: boolean
}

export const DEFAULT_SETTINGS: RenderSettings = { masqueradeMark: 0x4000, dropInvalid: true }

export interface FamilyContext {
  readonly family: Family
  readonly settings: RenderSettings
  readonly detector: LocalDetector
  /** Destination matches of NodePorts, '' for every local address; none: NodePorts answer nowhere. */
  readonly nodePortDestinations: readonly string[]
  /** Rows 19, 20: 127.0.0.1 answers for NodePorts. */
  readonly localhostNodePorts: boolean
  readonly mechanism: SteeringPlan['mechanism']
  readonly proxyPort: Port
  /** Where the mechanism dnat sends connections: the node's primary address. */
  readonly proxyIp: Ip | undefined
}

export function familyContext(plan: Plan, family: FamilyPlan, settings: RenderSettings): FamilyContext {
  const { mechanism, proxyPort } = plan.options.steering
  const proxyIp = family.nodeAddresses[0]
  return {
    family: family.family,
    settings,
    detector: family.localDetector,
    nodePortDestinations: nodePortDestinations(family.family, family.nodePortAddresses),
    localhostNodePorts: answersOnLoopback(family),
    // Without an address of the node there is nothing to send connections to.
    mechanism: mechanism === 'dnat' && proxyIp === undefined ? 'off' : mechanism,
    proxyPort,
    proxyIp,
  }
}

/** Equal contexts render equal rules for equal Service ports. */
export function sameContext(a: FamilyContext, b: FamilyContext): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

const LOOPBACK: Readonly<Record<Family, Cidr>> = {
  IPv4: '127.0.0.0/8' as Cidr,
  IPv6: '::1/128' as Cidr,
}

/** Row 19: only IPv4 can do it, and only if a range of NodePort addresses has loopback addresses in it. */
function answersOnLoopback({ family, nodePortAddresses: addresses }: FamilyPlan): boolean {
  if (family !== 'IPv4' || !addresses.loopback) return false
  return addresses.kind === 'allLocal' || addresses.cidrs.some((cidr) => overlaps(cidr, LOOPBACK.IPv4))
}

function nodePortDestinations(family: Family, addresses: NodePortAddresses): string[] {
  const loopback = LOOPBACK[family]
  if (addresses.kind === 'allLocal') return [addresses.loopback ? '' : notTo(loopback)]
  const cidrs = addresses.loopback
    ? addresses.cidrs
    : addresses.cidrs.flatMap((cidr) => without(cidr, loopback))
  return cidrs.map((cidr) => to(cidr))
}

function overlaps(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, networkOf(b)) || cidrContains(b, networkOf(a))
}

/** The parts of `cidr` that are outside `hole`: one rule can match only one range. */
function without(cidr: Cidr, hole: Cidr): Cidr[] {
  if (!overlaps(cidr, hole)) return [cidr]
  const length = prefixLengthOf(cidr)
  if (length >= prefixLengthOf(hole)) return []
  const upper = ipBytes(networkOf(cidr))
  upper[length >> 3] = (upper[length >> 3] ?? 0) | (0x80 >> (length & 7))
  const halves = [`${networkOf(cidr)}/${length + 1}`, `${ipFromBytes(upper)}/${length + 1}`]
  return halves.flatMap((half) => {
    const parsed = parseCidr(half)
    return parsed === undefined ? [] : without(parsed, hole)
  })
}
