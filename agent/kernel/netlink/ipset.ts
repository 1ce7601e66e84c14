// nfnetlink's ipset subsystem: add an element with a timeout to a list:set, and read sets.
//
// Version 6 of its protocol is spoken: every kernel since 2.6.39 accepts it, those with version 7 included.

import { ipFromBytes, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import {
  attribute,
  attributeList,
  attributes,
  message,
  nested,
  networkOrder,
  NLM_F,
  payload,
  readText,
  readU16be,
  readU32,
  text,
  u32be,
  u8,
} from './message.ts'

export interface SetElement {
  /** list:set: the member set. */
  readonly member?: string
  readonly ip?: Ip
  readonly port?: Port
  /** IP protocol number, for kinds that have one. */
  readonly protocol?: number
  /** Remaining time; the kernel rounds up to whole seconds. */
  readonly timeoutS?: number
}

/** Adds or refreshes a member of a list:set. */
export function refreshMember(list: string, member: string, timeoutS: number): Uint8Array {
  return message(typeOf(CMD.ADD), 0, NFGENMSG, [
    attribute(ATTR.PROTOCOL, u8(PROTOCOL)),
    attribute(ATTR.SETNAME, text(list)),
    nested(ATTR.DATA, attribute(ADT.NAME, text(member)), networkOrder(ADT.TIMEOUT, u32be(timeoutS))),
  ])
}

export function deleteMember(list: string, member: string): Uint8Array {
  return message(typeOf(CMD.DEL), 0, NFGENMSG, [
    attribute(ATTR.PROTOCOL, u8(PROTOCOL)),
    attribute(ATTR.SETNAME, text(list)),
    nested(ATTR.DATA, attribute(ADT.NAME, text(member))),
  ])
}

export function listSet(name: string): Uint8Array {
  return message(typeOf(CMD.LIST), NLM_F.DUMP, NFGENMSG, [
    attribute(ATTR.PROTOCOL, u8(PROTOCOL)),
    attribute(ATTR.SETNAME, text(name)),
  ])
}

/** The elements of one message of the answer; a big set comes in many. */
export function decodeElements(bytes: Uint8Array): SetElement[] {
  const list = attributes(payload(bytes).subarray(NFGENMSG.length)).get(ATTR.ADT)
  if (list === undefined) return []
  return attributeList(list).map(([, element]) => decodeElement(element))
}

const SUBSYSTEM = 6
const PROTOCOL = 6
const CMD = { LIST: 7, ADD: 9, DEL: 10 } as const
const ATTR = { PROTOCOL: 1, SETNAME: 2, DATA: 7, ADT: 8 } as const
const ADT = { IP: 1, PORT: 4, TIMEOUT: 6, PROTO: 7, NAME: 18 } as const
const IPADDR = { IPV4: 1, IPV6: 2 } as const
/** struct nfgenmsg: AF_INET (any family serves), version 0, no resource. */
const NFGENMSG = Uint8Array.of(2, 0, 0, 0)

function typeOf(command: number): number {
  return (SUBSYSTEM << 8) | command
}

function decodeElement(bytes: Uint8Array): SetElement {
  const found = attributes(bytes)
  const name = found.get(ADT.NAME)
  const ip = found.get(ADT.IP)
  const port = found.get(ADT.PORT)
  const protocol = found.get(ADT.PROTO)
  const timeout = found.get(ADT.TIMEOUT)
  const address = ip === undefined ? undefined : decodeAddress(ip)
  return {
    ...(name === undefined ? {} : { member: readText(name) }),
    ...(address === undefined ? {} : { ip: address }),
    ...(port === undefined ? {} : { port: readU16be(port) }),
    ...(protocol === undefined ? {} : { protocol: protocol[0] ?? 0 }),
    ...(timeout === undefined ? {} : { timeoutS: readU32(timeout, false) }),
  }
}

function decodeAddress(bytes: Uint8Array): Ip | undefined {
  const found = attributes(bytes)
  const address = found.get(IPADDR.IPV4) ?? found.get(IPADDR.IPV6)
  return address === undefined ? undefined : ipFromBytes(address)
}
