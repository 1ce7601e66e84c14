// The PROXY protocol, version 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2): a header in front of a
// connection's bytes that tells whose connection it is. Read from sources that are trusted, written to endpoints that
// asked for it.
//
//   12 bytes of signature | 2, command | family, protocol | length of what follows (2) | addresses and ports | TLVs

import { familyOf, ipBytes, ipFromBytes, type Ip } from '../../model/ip.ts'

export interface ProxyAddress {
  readonly ip: Ip
  /** 0 to 65535: the sender is believed as it is. */
  readonly port: number
}

export type ProxyHeader =
  | {
      readonly kind: 'header'
      /** undefined: the sender speaks for itself (LOCAL), or does not know for whom (AF_UNSPEC). */
      readonly client: ProxyAddress | undefined
      readonly destination: ProxyAddress | undefined
      /** To be thrown away; the client's own bytes begin here. */
      readonly headerBytes: number
    }
  /** So many bytes belong to the header at the least, more than there are now. */
  | { readonly kind: 'more'; readonly atLeastBytes: number }
  | { readonly kind: 'bad'; readonly because: string }

/** Nobody sends more: 536 without TLVs by the specification, client certificates in TLVs a few thousand. */
export const MAX_PROXY_HEADER_BYTES = 4096

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const FIXED_BYTES = 16
const VERSION = 2
const LOCAL = 0
const PROXY = 1
const UNSPECIFIED = 0x00
const TCP_IPV4 = 0x11
const TCP_IPV6 = 0x21
const VERSION_1 = Uint8Array.from('PROXY ', (letter) => letter.charCodeAt(0))

/**
 * Reads the header at the start of `bytes`. Total: of a good header every proper prefix is `more`, all else is `bad`
 * as soon as the bytes show it. TLVs are stepped over, their checksum too.
 */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (bytes.length === 0) return { kind: 'more', atLeastBytes: 1 }
  if (isPrefix(bytes, VERSION_1))
    return bytes.length < VERSION_1.length
      ? { kind: 'more', atLeastBytes: VERSION_1.length }
      : bad('it begins with a PROXY header of version 1 (text); have the sender write version 2')
  if (!isPrefix(bytes, SIGNATURE)) return bad('it does not begin with a PROXY header')
  const [versionAndCommand, family] = bytes.subarray(SIGNATURE.length)
  const wrong = wrongKind(versionAndCommand, family)
  if (wrong !== undefined) return bad(wrong)
  if (bytes.length < FIXED_BYTES || versionAndCommand === undefined || family === undefined)
    return { kind: 'more', atLeastBytes: FIXED_BYTES }

  const isLocal = (versionAndCommand & 0xf) === LOCAL
  const length = (bytes[14] ?? 0) * 256 + (bytes[15] ?? 0)
  const needed = isLocal ? 0 : addressBytes(family)
  if (length < needed) return bad(`its PROXY header has ${length} bytes for addresses, which take ${needed}`)
  const headerBytes = FIXED_BYTES + length
  if (headerBytes > MAX_PROXY_HEADER_BYTES)
    return bad(`its PROXY header has ${headerBytes} bytes; at most ${MAX_PROXY_HEADER_BYTES} are read`)
  if (bytes.length < headerBytes) return { kind: 'more', atLeastBytes: headerBytes }

  if (needed === 0) return { kind: 'header', client: undefined, destination: undefined, headerBytes }
  const ends = readAddresses(bytes.subarray(FIXED_BYTES, FIXED_BYTES + needed))
  return { kind: 'header', ...ends, headerBytes }
}

/** 28 bytes if both addresses are IPv4, else 52. */
export function writeProxyHeader(client: ProxyAddress, destination: ProxyAddress): Uint8Array {
  const isV4 = familyOf(client.ip) === 'IPv4' && familyOf(destination.ip) === 'IPv4'
  const size = isV4 ? 4 : 16
  const bytes = new Uint8Array(FIXED_BYTES + 2 * size + 4)
  bytes.set(SIGNATURE)
  bytes[12] = (VERSION << 4) | PROXY
  bytes[13] = isV4 ? TCP_IPV4 : TCP_IPV6
  bytes[15] = bytes.length - FIXED_BYTES
  writeIp(bytes.subarray(FIXED_BYTES, FIXED_BYTES + size), client.ip)
  writeIp(bytes.subarray(FIXED_BYTES + size, FIXED_BYTES + 2 * size), destination.ip)
  const ports = new DataView(bytes.buffer, FIXED_BYTES + 2 * size)
  ports.setUint16(0, client.port)
  ports.setUint16(2, destination.port)
  return bytes
}

function readAddresses(bytes: Uint8Array): { client: ProxyAddress; destination: ProxyAddress } {
  const size = (bytes.length - 4) / 2
  const ports = new DataView(bytes.buffer, bytes.byteOffset + 2 * size)
  return {
    client: { ip: ipFromBytes(bytes.subarray(0, size)), port: ports.getUint16(0) },
    destination: { ip: ipFromBytes(bytes.subarray(size, 2 * size)), port: ports.getUint16(2) },
  }
}

/** Fills 4 or 16 bytes; IPv4 in 16 as an IPv4-mapped address. */
function writeIp(into: Uint8Array, ip: Ip): void {
  const bytes = ipBytes(ip)
  if (bytes.length < into.length) into.fill(0xff, 10, 12)
  into.set(bytes, into.length - bytes.length)
}

/** What shows that the header cannot be believed, as far as its two bytes are there. */
function wrongKind(versionAndCommand: number | undefined, family: number | undefined): string | undefined {
  if (versionAndCommand === undefined) return undefined
  const version = versionAndCommand >> 4
  const command = versionAndCommand & 0xf
  if (version !== VERSION) return `its PROXY header says version ${version}; only version 2 is read`
  if (command !== LOCAL && command !== PROXY) return `its PROXY header has the unknown command ${command}`
  // The family of a LOCAL command means nothing.
  if (command === LOCAL || family === undefined || addressBytes(family) > 0 || family === UNSPECIFIED)
    return undefined
  return `its PROXY header is about 0x${family.toString(16).padStart(2, '0')}, which is not TCP over IPv4 or IPv6`
}

/** Of addresses and ports together; 0: it has none. */
function addressBytes(family: number): number {
  return family === TCP_IPV4 ? 12 : family === TCP_IPV6 ? 36 : 0
}

/** One is the beginning of the other. */
function isPrefix(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const count = Math.min(bytes.length, wanted.length)
  for (let i = 0; i < count; i++) if (bytes[i] !== wanted[i]) return false
  return true
}

function bad(because: string): ProxyHeader {
  return { kind: 'bad', because }
}
