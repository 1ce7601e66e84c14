// IP addresses as canonical text: two equal addresses are the same string, so they serve as map keys, print as they
// are, and survive JSON. IPv4 is dotted decimal without leading zeros; IPv6 is RFC 5952 (lower case, longest run of
// zeros compressed). An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes the IPv4 address that it stands for.

/** A canonical address, made by {@link parseIp} alone. */
export type Ip = string & { readonly __brand: 'Ip' }

/** Kubernetes' names of the two address families. */
export type Family = 'IPv4' | 'IPv6'

export const FAMILIES: readonly Family[] = ['IPv4', 'IPv6']

/** Eight groups with an IPv4 tail in which every octet has a leading zero; hostile text is refused before it is split. */
const LONGEST_TEXT = 49

/**
 * Reads an address. Leading zeros in IPv4 octets are read as decimal (kube-proxy row 12: `172.30.0.041` is .41).
 * Returns undefined for anything else, zone identifiers included.
 */
export function parseIp(text: string): Ip | undefined {
  if (text.length > LONGEST_TEXT) return undefined
  const bytes = text.includes(':') ? parseV6(text) : parseV4(text)
  return bytes === undefined ? undefined : ipFromBytes(bytes)
}

/** The family of a canonical address. */
export function familyOf(ip: Ip): Family {
  return ip.includes(':') ? 'IPv6' : 'IPv4'
}

/** 4 or 16 bytes in network order. */
export function ipBytes(ip: Ip): Uint8Array {
  return (ip.includes(':') ? parseV6(ip) : parseV4(ip)) ?? new Uint8Array(4)
}

/** The address of 4 or 16 bytes in network order; IPv4-mapped IPv6 becomes IPv4. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return bytes.join('.') as Ip
  if (isMappedV4(bytes)) return bytes.subarray(12).join('.') as Ip
  return formatV6(bytes) as Ip
}

/** Negative, zero or positive, as Array.sort wants it: IPv4 before IPv6, then by number. */
export function compareIp(a: Ip, b: Ip): number {
  if (a === b) return 0
  const left = ipBytes(a)
  const right = ipBytes(b)
  if (left.length !== right.length) return left.length - right.length
  for (const [i, byte] of left.entries()) {
    const difference = byte - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/**
 * A canonical IPv4 address as an unsigned 32-bit number, without allocating: ranges are tested for every packet that
 * explain() answers.
 */
export function ipv4Number(ip: Ip): number {
  let value = 0
  let octet = 0
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i)
    if (code === 46) {
      value = value * 256 + octet
      octet = 0
    } else octet = octet * 10 + code - 48
  }
  return value * 256 + octet
}

/** `10.0.0.1:80` or `[fd00::1]:80`, as kube-proxy writes endpoints into hashes and rules. */
export function hostPort(ip: Ip, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}

/** True for 127.0.0.0/8 and ::1. */
export function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.')
}

function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^[0-9]{1,4}$/.test(part)) return undefined
    const octet = Number(part)
    if (octet > 255) return undefined
    bytes[i] = octet
  }
  return bytes
}

function parseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  // `::` stands for at least one group; without it all eight must be there.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const groups = [...head, ...Array<number>(Math.max(missing, 0)).fill(0), ...tail]
  const bytes = new Uint8Array(16)
  for (const [i, group] of groups.entries()) {
    bytes[i * 2] = group >> 8
    bytes[i * 2 + 1] = group & 0xff
  }
  return bytes
}

/** 16-bit groups of one side of `::`; a dotted IPv4 tail is allowed at the very end of the address only. */
function parseGroups(text: string, atEnd: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const v4 = i === parts.length - 1 && atEnd ? parseV4(part) : undefined
      if (v4 === undefined) return undefined
      groups.push(((v4[0] ?? 0) << 8) | (v4[1] ?? 0), ((v4[2] ?? 0) << 8) | (v4[3] ?? 0))
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined
      groups.push(Number.parseInt(part, 16))
    }
  }
  return groups.length > 8 ? undefined : groups
}

function isMappedV4(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

function formatV6(bytes: Uint8Array): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  const run = longestZeroRun(groups)
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  if (run.length < 2) return hex(groups)
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (start + length < groups.length && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
    start += length
  }
  return best
}
