// Netlink messages and attributes as bytes. All numbers are little-endian (every platform that Node supports for us
// is) unless a caller asks for network order; attributes are padded to 4 bytes.

/** linux/netlink.h */
export const NLM_F = { REQUEST: 1, ACK: 4, REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400, DUMP: 0x300 } as const

const HEADER_BYTES = 16
const NESTED = 0x8000
const NET_BYTE_ORDER = 0x4000
const TYPE_MASK = 0x3fff

/** A request; length, sequence and port are filled in by the socket. `body` is the fixed part after the header. */
export function message(
  type: number,
  flags: number,
  body: Uint8Array,
  attributes: readonly Uint8Array[] = [],
): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint16(4, type, true)
  view.setUint16(6, flags | NLM_F.REQUEST, true)
  const bytes = concat([header, pad(body), ...attributes])
  new DataView(bytes.buffer).setUint32(0, bytes.length, true)
  return bytes
}

/** Cuts a reply into messages, each with its header. */
export function splitMessages(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = []
  const view = viewOf(bytes)
  let at = 0
  while (at + HEADER_BYTES <= bytes.length) {
    const length = view.getUint32(at, true)
    if (length < HEADER_BYTES || at + length > bytes.length) break
    messages.push(bytes.subarray(at, at + length))
    at += align(length)
  }
  return messages
}

export function messageType(bytes: Uint8Array): number {
  return viewOf(bytes).getUint16(4, true)
}

/** Everything after the header. */
export function payload(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(HEADER_BYTES)
}

export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(4 + value.length))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 4 + value.length, true)
  view.setUint16(2, type, true)
  bytes.set(value, 4)
  return bytes
}

export function nested(type: number, ...attributes: Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, concat(attributes))
}

/** Marked as being in network order, as nfnetlink's checks want some of its numbers. */
export function networkOrder(type: number, value: Uint8Array): Uint8Array {
  return attribute(type | NET_BYTE_ORDER, value)
}

/** Attributes by type, flags removed. A malformed rest is ignored: the kernel does not send one. */
export function attributes(bytes: Uint8Array): Map<number, Uint8Array> {
  return new Map(attributeList(bytes))
}

/** The same in order, for lists whose members share a type. */
export function attributeList(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  const found: [number, Uint8Array][] = []
  const view = viewOf(bytes)
  let at = 0
  while (at + 4 <= bytes.length) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > bytes.length) break
    found.push([view.getUint16(at + 2, true) & TYPE_MASK, bytes.subarray(at + 4, at + length)])
    at += align(length)
  }
  return found
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value)
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

export function u16be(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff)
}

export function u32be(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, false)
  return bytes
}

/** With the terminating zero. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`)
}

/** Up to the terminating zero. */
export function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** 0 for a missing or too short value. */
export function readU32(bytes: Uint8Array | undefined, littleEndian: boolean): number {
  return bytes !== undefined && bytes.length >= 4 ? viewOf(bytes).getUint32(0, littleEndian) : 0
}

export function readU16be(bytes: Uint8Array | undefined): number {
  return bytes !== undefined && bytes.length >= 2 ? viewOf(bytes).getUint16(0, false) : 0
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

function pad(bytes: Uint8Array): Uint8Array {
  return bytes.length % 4 === 0 ? bytes : concat([bytes, new Uint8Array(align(bytes.length) - bytes.length)])
}

function align(length: number): number {
  return (length + 3) & ~3
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
