// rtnetlink: rules of the routing policy and routes over `lo`, as far as steering needs them.

import { ipBytes, ipFromBytes, type Family, type Ip } from '../../model/ip.ts'
import {
  attribute,
  attributes,
  message,
  messageType,
  NLM_F,
  payload,
  readText,
  readU32,
  text,
  u32,
} from './message.ts'

/** One `ip rule`. Selectors that we do not use are not read. */
export interface Rule {
  readonly family: Family
  readonly priority: number
  readonly mark?: { readonly value: number; readonly mask: number }
  readonly inputInterface?: string
  readonly action:
    | { readonly kind: 'lookup'; readonly table: number }
    | { readonly kind: 'goto'; readonly priority: number }
    | { readonly kind: 'nop' }
}

/** A route whose device is `lo`; others are not read. */
export interface LoopbackRoute {
  readonly family: Family
  readonly table: number
  /** `local`: the destination is this host; `unicast`: it only makes the destination routable. */
  readonly type: 'local' | 'unicast'
  /** undefined: default. */
  readonly destination: Ip | undefined
}

export const MAIN_TABLE = 254

export function addRule(rule: Rule): Uint8Array {
  return ruleMessage(RTM.NEWRULE, NLM_F.CREATE | NLM_F.EXCL, rule)
}

export function deleteRule(rule: Rule): Uint8Array {
  return ruleMessage(RTM.DELRULE, 0, rule)
}

export function dumpRules(family: Family): Uint8Array {
  return message(RTM.GETRULE, NLM_F.DUMP, fixedPart(AF[family]))
}

export function addRoute(route: LoopbackRoute): Uint8Array {
  return routeMessage(RTM.NEWROUTE, NLM_F.CREATE | NLM_F.EXCL, route)
}

export function deleteRoute(route: LoopbackRoute): Uint8Array {
  return routeMessage(RTM.DELROUTE, 0, route)
}

export function dumpRoutes(family: Family): Uint8Array {
  return message(RTM.GETROUTE, NLM_F.DUMP, fixedPart(AF[family]))
}

/** undefined for other messages and for actions that we do not know. */
export function decodeRule(bytes: Uint8Array): Rule | undefined {
  if (messageType(bytes) !== RTM.NEWRULE) return undefined
  const body = payload(bytes)
  const family = familyOfNumber(body[0])
  const found = attributes(body.subarray(FIXED_BYTES))
  const action = decodeAction(body, found)
  if (family === undefined || action === undefined) return undefined
  const name = found.get(FRA.IIFNAME)
  const mask = found.get(FRA.FWMASK)
  return {
    family,
    priority: readU32(found.get(FRA.PRIORITY), true),
    // The kernel sends the mask of every rule that has a mark; a mask of 0 means no mark.
    ...(readU32(mask, true) === 0
      ? {}
      : { mark: { value: readU32(found.get(FRA.FWMARK), true), mask: readU32(mask, true) } }),
    ...(name === undefined ? {} : { inputInterface: readText(name) }),
    action,
  }
}

/** undefined for other messages, for cached clones, and for routes that do not use `lo`. */
export function decodeRoute(bytes: Uint8Array): LoopbackRoute | undefined {
  if (messageType(bytes) !== RTM.NEWROUTE) return undefined
  const body = payload(bytes)
  const family = familyOfNumber(body[0])
  const type = TYPES[body[7] ?? 0]
  const prefixLength = body[1] ?? 0
  const found = attributes(body.subarray(FIXED_BYTES))
  if (family === undefined || type === undefined || readU32(found.get(RTA.OIF), true) !== LOOPBACK_INDEX)
    return undefined
  if ((readU32(body.subarray(8, 12), true) & RTM_F_CLONED) !== 0) return undefined
  const destination = found.get(RTA.DST)
  // Ranges shorter than one address are nobody's that we made.
  if (destination !== undefined && prefixLength !== destination.length * 8) return undefined
  return {
    family,
    table: found.has(RTA.TABLE) ? readU32(found.get(RTA.TABLE), true) : (body[4] ?? 0),
    type,
    destination: destination === undefined ? undefined : ipFromBytes(destination),
  }
}

const RTM = { NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26, NEWRULE: 32, DELRULE: 33, GETRULE: 34 } as const
const FRA = { IIFNAME: 3, GOTO: 4, PRIORITY: 6, FWMARK: 10, TABLE: 15, FWMASK: 16 } as const
const RTA = { DST: 1, OIF: 4, TABLE: 15 } as const
const AF: Readonly<Record<Family, number>> = { IPv4: 2, IPv6: 10 }
const ACTION = { lookup: 1, goto: 2, nop: 3 } as const
const TYPES: Readonly<Record<number, LoopbackRoute['type']>> = { 1: 'unicast', 2: 'local' }
const RTPROT_STATIC = 4
const RTM_F_CLONED = 0x200
const SCOPE = { local: 254, unicast: 253 } as const
/** struct fib_rule_hdr and struct rtmsg have the same length and both begin with the family. */
const FIXED_BYTES = 12
/** `lo` has this index in every network namespace. */
const LOOPBACK_INDEX = 1

function fixedPart(...bytes: number[]): Uint8Array {
  const fixed = new Uint8Array(FIXED_BYTES)
  fixed.set(bytes)
  return fixed
}

function ruleMessage(type: number, flags: number, rule: Rule): Uint8Array {
  const { action, mark, inputInterface } = rule
  // Tables above 255 are named by the attribute alone.
  const fixed = fixedPart(AF[rule.family], 0, 0, 0, 0, 0, 0, ACTION[action.kind])
  return message(type, flags, fixed, [
    attribute(FRA.PRIORITY, u32(rule.priority)),
    ...(mark === undefined
      ? []
      : [attribute(FRA.FWMARK, u32(mark.value)), attribute(FRA.FWMASK, u32(mark.mask))]),
    ...(inputInterface === undefined ? [] : [attribute(FRA.IIFNAME, text(inputInterface))]),
    ...(action.kind === 'lookup' ? [attribute(FRA.TABLE, u32(action.table))] : []),
    ...(action.kind === 'goto' ? [attribute(FRA.GOTO, u32(action.priority))] : []),
  ])
}

function decodeAction(body: Uint8Array, found: ReadonlyMap<number, Uint8Array>): Rule['action'] | undefined {
  const action = body[7]
  if (action === ACTION.lookup) return { kind: 'lookup', table: readU32(found.get(FRA.TABLE), true) }
  if (action === ACTION.goto) return { kind: 'goto', priority: readU32(found.get(FRA.GOTO), true) }
  return action === ACTION.nop ? { kind: 'nop' } : undefined
}

function routeMessage(type: number, flags: number, route: LoopbackRoute): Uint8Array {
  const destination = route.destination === undefined ? undefined : ipBytes(route.destination)
  const fixed = fixedPart(
    AF[route.family],
    destination === undefined ? 0 : destination.length * 8,
    0,
    0,
    0,
    RTPROT_STATIC,
    SCOPE[route.type],
    route.type === 'local' ? 2 : 1,
  )
  return message(type, flags, fixed, [
    ...(destination === undefined ? [] : [attribute(RTA.DST, destination)]),
    attribute(RTA.OIF, u32(LOOPBACK_INDEX)),
    attribute(RTA.TABLE, u32(route.table)),
  ])
}

function familyOfNumber(value: number | undefined): Family | undefined {
  if (value === AF.IPv4) return 'IPv4'
  return value === AF.IPv6 ? 'IPv6' : undefined
}
