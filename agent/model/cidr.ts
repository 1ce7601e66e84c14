// Address ranges as canonical text (`10.0.0.0/8`, host bits cleared), for the same reasons as addresses are text.

import { familyOf, ipBytes, ipFromBytes, ipv4Number, parseIp, type Family, type Ip } from './ip.ts'

/** A canonical range, made by {@link parseCidr} alone. */
export type Cidr = string & { readonly __brand: 'Cidr' }

/**
 * Reads a range. Surrounding spaces and leading zeros are tolerated (kube-proxy row 12), host bits are cleared.
 * Returns undefined for anything else; a bare address is not a range.
 */
export function parseCidr(text: string): Cidr | undefined {
  const [address, length, ...rest] = text.trim().split('/')
  if (address === undefined || length === undefined || rest.length > 0 || !/^[0-9]{1,4}$/.test(length))
    return undefined
  const ip = parseIp(address)
  if (ip === undefined) return undefined
  const prefixLength = Number(length)
  const bytes = ipBytes(ip)
  // `::ffff:10.0.0.0/104` would turn into an IPv4 address with an IPv6 length: refused, nobody means it.
  if (prefixLength > bytes.length * 8 || (address.includes(':') && familyOf(ip) === 'IPv4')) return undefined
  return `${ipFromBytes(mask(bytes, prefixLength))}/${prefixLength}` as Cidr
}

/** The range of one address: /32 or /128. */
export function hostCidr(ip: Ip): Cidr {
  return `${ip}/${familyOf(ip) === 'IPv4' ? 32 : 128}` as Cidr
}

export function cidrFamily(cidr: Cidr): Family {
  return cidr.includes(':') ? 'IPv6' : 'IPv4'
}

export function prefixLengthOf(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf('/') + 1))
}

/** The first address of the range. */
export function networkOf(cidr: Cidr): Ip {
  return cidr.slice(0, cidr.indexOf('/')) as Ip
}

/** True if the address is of the range's family and inside it. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (cidrFamily(cidr) !== familyOf(ip)) return false
  if (familyOf(ip) === 'IPv4') return cidrContainsV4(cidr, ip)
  const network = ipBytes(networkOf(cidr))
  const masked = mask(ipBytes(ip), prefixLengthOf(cidr))
  return masked.every((byte, i) => byte === network[i])
}

function cidrContainsV4(cidr: Cidr, ip: Ip): boolean {
  const prefixLength = prefixLengthOf(cidr)
  // A shift by 32 shifts by nothing, so the range of everything is a case of its own.
  return prefixLength === 0 || (ipv4Number(ip) ^ ipv4Number(networkOf(cidr))) >>> (32 - prefixLength) === 0
}

function mask(bytes: Uint8Array, prefixLength: number): Uint8Array {
  return bytes.map((byte, i) => {
    const bits = Math.min(Math.max(prefixLength - i * 8, 0), 8)
    return byte & (0xff << (8 - bits)) & 0xff
  })
}
