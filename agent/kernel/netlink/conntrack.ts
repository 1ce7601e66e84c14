// ctnetlink: entries of the connection table.

import { familyOf, ipBytes, ipFromBytes, type Family, type Ip } from '../../model/ip.ts'
import {
  attribute,
  attributes,
  message,
  nested,
  networkOrder,
  NLM_F,
  payload,
  readU16be,
  readU32,
  u16be,
  u32be,
  u8,
} from './message.ts'

export interface ConntrackEntry {
  readonly family: Family
  /** IP protocol number. */
  readonly protocol: number
  /** As the opener sent it. */
  readonly original: Tuple
  /** As the answers come; differs from the mirror image of `original` by what NAT does. */
  readonly reply: Tuple
  readonly status: ConntrackStatus
  readonly tcpState: TcpState | undefined
  readonly mark: number
  readonly zone: number
  readonly timeoutS: number
  /** Both directions; undefined where the kernel does not count (nf_conntrack_acct). */
  readonly bytes: number | undefined
  /** Kernel's id of the entry; the same connection keeps it. */
  readonly id: number
}

/** Ports are 0 for protocols without. */
export interface Tuple {
  readonly source: Ip
  readonly sourcePort: number
  readonly destination: Ip
  readonly destinationPort: number
}

export interface ConntrackStatus {
  readonly seenReply: boolean
  readonly assured: boolean
  readonly sourceNat: boolean
  readonly destinationNat: boolean
}

export type TcpState = (typeof TCP_STATES)[number]

/** All entries of a family, or those whose mark has a value under a mask: the kernel then leaves out the others. */
export function dumpEntries(
  family: Family,
  mark?: { readonly value: number; readonly mask: number },
): Uint8Array {
  const filter =
    mark === undefined
      ? []
      : [attribute(CTA.MARK, u32be(mark.value)), attribute(CTA.MARK_MASK, u32be(mark.mask))]
  return message(typeOf(CMD.GET), NLM_F.DUMP, nfgenmsg(family), filter)
}

/** Exactly this entry, and only while it has this id. */
export function deleteEntry(entry: ConntrackEntry): Uint8Array {
  return message(typeOf(CMD.DELETE), 0, nfgenmsg(entry.family), [
    encodeTuple(CTA.TUPLE_ORIG, entry.original, entry.protocol),
    attribute(CTA.ID, u32be(entry.id)),
    ...(entry.zone === 0 ? [] : [networkOrder(CTA.ZONE, u16be(entry.zone))]),
  ])
}

/** undefined for other messages and for entries without both tuples. */
export function decodeEntry(bytes: Uint8Array): ConntrackEntry | undefined {
  const found = attributes(payload(bytes).subarray(NFGENMSG_BYTES))
  const original = decodeTuple(found.get(CTA.TUPLE_ORIG))
  const reply = decodeTuple(found.get(CTA.TUPLE_REPLY))
  if (original === undefined || reply === undefined) return undefined
  const status = readU32(found.get(CTA.STATUS), false)
  return {
    family: familyOf(original.tuple.source),
    protocol: original.protocol,
    original: original.tuple,
    reply: reply.tuple,
    status: {
      seenReply: (status & STATUS.SEEN_REPLY) !== 0,
      assured: (status & STATUS.ASSURED) !== 0,
      sourceNat: (status & STATUS.SRC_NAT) !== 0,
      destinationNat: (status & STATUS.DST_NAT) !== 0,
    },
    tcpState: decodeTcpState(found.get(CTA.PROTOINFO)),
    mark: readU32(found.get(CTA.MARK), false),
    zone: readU16be(found.get(CTA.ZONE)),
    timeoutS: readU32(found.get(CTA.TIMEOUT), false),
    bytes: decodeBytes(found.get(CTA.COUNTERS_ORIG), found.get(CTA.COUNTERS_REPLY)),
    id: readU32(found.get(CTA.ID), false),
  }
}

const SUBSYSTEM = 1
const CMD = { GET: 1, DELETE: 2 } as const
const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  STATUS: 3,
  PROTOINFO: 4,
  TIMEOUT: 7,
  MARK: 8,
  COUNTERS_ORIG: 9,
  COUNTERS_REPLY: 10,
  ID: 12,
  ZONE: 18,
  MARK_MASK: 21,
} as const
const CTA_TUPLE = { IP: 1, PROTO: 2 } as const
const CTA_IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const
const CTA_PROTO = { NUM: 1, SRC_PORT: 2, DST_PORT: 3 } as const
const STATUS = { SEEN_REPLY: 1 << 1, ASSURED: 1 << 2, SRC_NAT: 1 << 4, DST_NAT: 1 << 5 } as const
const NFGENMSG_BYTES = 4

/** nf_conntrack_tcp.h, in its order. */
const TCP_STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
] as const

function typeOf(command: number): number {
  return (SUBSYSTEM << 8) | command
}

function nfgenmsg(family: Family): Uint8Array {
  return Uint8Array.of(family === 'IPv4' ? 2 : 10, 0, 0, 0)
}

function encodeTuple(type: number, tuple: Tuple, protocol: number): Uint8Array {
  const v4 = familyOf(tuple.source) === 'IPv4'
  return nested(
    type,
    nested(
      CTA_TUPLE.IP,
      attribute(v4 ? CTA_IP.V4_SRC : CTA_IP.V6_SRC, ipBytes(tuple.source)),
      attribute(v4 ? CTA_IP.V4_DST : CTA_IP.V6_DST, ipBytes(tuple.destination)),
    ),
    nested(
      CTA_TUPLE.PROTO,
      attribute(CTA_PROTO.NUM, u8(protocol)),
      attribute(CTA_PROTO.SRC_PORT, u16be(tuple.sourcePort)),
      attribute(CTA_PROTO.DST_PORT, u16be(tuple.destinationPort)),
    ),
  )
}

function decodeTuple(bytes: Uint8Array | undefined): { tuple: Tuple; protocol: number } | undefined {
  if (bytes === undefined) return undefined
  const parts = attributes(bytes)
  const ip = attributes(parts.get(CTA_TUPLE.IP) ?? EMPTY)
  const proto = attributes(parts.get(CTA_TUPLE.PROTO) ?? EMPTY)
  const source = ip.get(CTA_IP.V4_SRC) ?? ip.get(CTA_IP.V6_SRC)
  const destination = ip.get(CTA_IP.V4_DST) ?? ip.get(CTA_IP.V6_DST)
  if (source === undefined || destination === undefined) return undefined
  return {
    tuple: {
      source: ipFromBytes(source),
      sourcePort: readU16be(proto.get(CTA_PROTO.SRC_PORT)),
      destination: ipFromBytes(destination),
      destinationPort: readU16be(proto.get(CTA_PROTO.DST_PORT)),
    },
    protocol: proto.get(CTA_PROTO.NUM)?.[0] ?? 0,
  }
}

/** The state is the first attribute of the TCP part, which is the first of the protocols' parts. */
function decodeTcpState(bytes: Uint8Array | undefined): TcpState | undefined {
  const tcp = bytes === undefined ? undefined : attributes(bytes).get(1)
  const state = tcp === undefined ? undefined : attributes(tcp).get(1)
  return state === undefined ? undefined : TCP_STATES[state[0] ?? 0]
}

/** Each direction has packets and bytes as 64-bit numbers in network order. */
function decodeBytes(...directions: readonly (Uint8Array | undefined)[]): number | undefined {
  const counts = directions.flatMap((bytes) => {
    const count = bytes === undefined ? undefined : attributes(bytes).get(CTA_COUNTERS_BYTES)
    if (count === undefined || count.length !== 8) return []
    return [Number(new DataView(count.buffer, count.byteOffset, 8).getBigUint64(0))]
  })
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0)
}

const CTA_COUNTERS_BYTES = 2
const EMPTY = new Uint8Array()
