// The ipset sets of steering and their members, from the plan. The two lists of sets are made here and filled by the
// proxy alone: its heartbeat is what makes them valid.

import { networkOf, prefixLengthOf } from '../../model/cidr.ts'
import { familyOf, type Family, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import {
  HEARTBEAT_TIMEOUT_S,
  LIVE_NODEPORT_SET,
  LIVE_SET,
  SELFTEST_IPV4,
  SELFTEST_IPV6,
  SELFTEST_PORT,
  STEER_NODEPORT_SET,
  STEER_SET_V4,
  STEER_SET_V6,
} from '../../model/steering-names.ts'
import type { FamilyPlan, Plan, ServicePortPlan } from '../../plan/plan.ts'
import type { SteerKey } from '../steer/steering.ts'
import { kernelIp } from './rule.ts'

/** Addresses of other Services whose port is the number of a steered NodePort: the NodePort must not take them. */
const UNSTEERED_SET_V4 = 'SHUNT-OTHER-4'
const UNSTEERED_SET_V6 = 'SHUNT-OTHER-6'
/** The NodePorts that are steered in one family: the proxy's heartbeat knows only those of both together. */
const FAMILY_NODEPORT_SET_V4 = 'SHUNT-NODE-4'
const FAMILY_NODEPORT_SET_V6 = 'SHUNT-NODE-6'

const HASH_SIZE = 'hashsize 1024 maxelem 262144'

/** Each set and how it is created, members before the lists that refer to them. */
export const SET_TYPES: ReadonlyMap<string, string> = new Map([
  [STEER_SET_V4, `hash:ip,port family inet ${HASH_SIZE}`],
  [STEER_SET_V6, `hash:ip,port family inet6 ${HASH_SIZE}`],
  [UNSTEERED_SET_V4, `hash:ip,port family inet ${HASH_SIZE}`],
  [UNSTEERED_SET_V6, `hash:ip,port family inet6 ${HASH_SIZE}`],
  [STEER_NODEPORT_SET, 'bitmap:port range 0-65535'],
  [FAMILY_NODEPORT_SET_V4, 'bitmap:port range 0-65535'],
  [FAMILY_NODEPORT_SET_V6, 'bitmap:port range 0-65535'],
  [LIVE_SET, `list:set size 8 timeout ${HEARTBEAT_TIMEOUT_S}`],
  [LIVE_NODEPORT_SET, `list:set size 8 timeout ${HEARTBEAT_TIMEOUT_S}`],
])

/** Filled by the proxy. */
export const LIVE_SETS: ReadonlySet<string> = new Set([LIVE_SET, LIVE_NODEPORT_SET])

export function unsteeredSet(family: Family): string {
  return family === 'IPv4' ? UNSTEERED_SET_V4 : UNSTEERED_SET_V6
}

export function familyNodePortSet(family: Family): string {
  return family === 'IPv4' ? FAMILY_NODEPORT_SET_V4 : FAMILY_NODEPORT_SET_V6
}

export function steerSet(family: Family): string {
  return family === 'IPv4' ? STEER_SET_V4 : STEER_SET_V6
}

export interface SteerSets {
  /** Members by set, in no order; always none for the lists, which are the proxy's to fill. Empty map: no sets at all. */
  readonly members: ReadonlyMap<string, ReadonlySet<string>>
  /** What the sk_lookup program has to know, without the self-test; none with other mechanisms. */
  readonly keys: readonly SteerKey[]
}

export const NO_SETS: SteerSets = { members: new Map(), keys: [] }

export function steerSets(plan: Plan): SteerSets {
  const { mechanism } = plan.options.steering
  if (mechanism === 'off') return NO_SETS
  const members = new Map<string, Set<string>>()
  for (const name of SET_TYPES.keys()) members.set(name, new Set())
  const add = (set: string, member: string): void => {
    members.get(set)?.add(member)
  }
  add(STEER_SET_V4, tcpMember(SELFTEST_IPV4 as Ip, SELFTEST_PORT))
  add(STEER_SET_V6, tcpMember(SELFTEST_IPV6 as Ip, SELFTEST_PORT))
  const keys = new Map<string, SteerKey>()
  for (const family of Object.values(plan.families)) {
    const nodeIps = nodePortIps(family)
    for (const { frontends } of family.ports.values())
      for (const { ip, port, steered } of frontends) {
        if (!steered) continue
        if (ip === undefined) {
          add(STEER_NODEPORT_SET, String(port))
          add(familyNodePortSet(family.family), String(port))
        } else add(steerSet(familyOf(ip)), tcpMember(ip, port))
        if (mechanism !== 'sk_lookup') continue
        for (const key of ip === undefined ? nodeIps : [ip])
          keys.set(`${key ?? ''} ${port}`, { ip: key, port })
      }
  }
  if (members.get(STEER_NODEPORT_SET)?.size) addUnsteered(plan, members)
  return { members, keys: [...keys.values()] }
}

function addUnsteered(plan: Plan, members: ReadonlyMap<string, Set<string>>): void {
  const nodePorts = members.get(STEER_NODEPORT_SET) ?? new Set<string>()
  for (const port of servicePorts(plan))
    for (const { ip, port: number, steered } of port.frontends)
      if (!steered && ip !== undefined && port.protocol === 'TCP' && nodePorts.has(String(number)))
        members.get(unsteeredSet(familyOf(ip)))?.add(tcpMember(ip, number))
}

/**
 * Under which addresses the program of sk_lookup shall know NodePorts: it sees no mark, so one that answers on some
 * addresses only must not take the port of others from their programs. Ranges wider than an address cannot be told.
 */
function nodePortIps({ nodePortAddresses: addresses, family }: FamilyPlan): (Ip | undefined)[] {
  if (addresses.kind === 'allLocal') return [undefined]
  const length = family === 'IPv4' ? 32 : 128
  return addresses.cidrs.every((cidr) => prefixLengthOf(cidr) === length)
    ? addresses.cidrs.map(networkOf)
    : [undefined]
}

function* servicePorts(plan: Plan): Generator<ServicePortPlan> {
  for (const family of Object.values(plan.families)) yield* family.ports.values()
}

function tcpMember(ip: Ip, port: Port): string {
  return `${kernelIp(ip)},tcp:${port}`
}
