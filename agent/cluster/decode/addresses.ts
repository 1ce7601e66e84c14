// Addresses and ranges in objects: reading them, and refusing those that the API server refuses.

import { parseCidr, type Cidr } from '../../model/cidr.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import type { Fields } from './fields.ts'
import { describe } from './report.ts'

/** Why the API server takes this address neither for an endpoint nor as an external IP; undefined: it does. */
export function specialAddress(ip: Ip): string | undefined {
  if (ip === '0.0.0.0' || ip === '::') return 'the unspecified address'
  if (ip.startsWith('127.') || ip === '::1') return 'a loopback address'
  if (ip.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/.test(ip)) return 'a link-local address'
  if (ip.startsWith('224.0.0.') || /^ff[0-9a-f]2:/.test(ip)) return 'a link-local multicast address'
  return undefined
}

/** The good addresses of a list; each bad one is a warning and is skipped (kube-proxy row 12). */
export function readableIps(fields: Fields, key: string): Ip[] {
  const ips: Ip[] = []
  for (const { text, place } of fields.texts(key)) {
    const ip = parseIp(text.trim())
    const special = ip === undefined ? undefined : specialAddress(ip)
    if (ip === undefined) {
      fields.report.warn(place, `expected an IP address, found ${describe(text)}; the entry is skipped`)
    } else if (special !== undefined) {
      fields.report.warn(
        place,
        `${ip} is ${special}, which cannot be a Service address; the entry is skipped`,
      )
    } else if (!ips.includes(ip)) ips.push(ip)
  }
  return ips
}

/** The good ranges of a list; each bad one is a warning and is skipped (kube-proxy rows 12 and 26). */
export function readableCidrs(fields: Fields, key: string): Cidr[] {
  const cidrs: Cidr[] = []
  for (const { text, place } of fields.texts(key)) {
    const cidr = parseCidr(text)
    if (cidr === undefined) {
      fields.report.warn(place, `expected ${RANGE_RULE}, found ${describe(text)}; the entry is skipped`)
    } else if (!cidrs.includes(cidr)) cidrs.push(cidr)
  }
  return cidrs
}

/** The ranges of a list, each of which must be good. */
export function requiredCidrs(fields: Fields, key: string): Cidr[] {
  const cidrs: Cidr[] = []
  for (const { text, place } of fields.texts(key)) {
    const cidr = parseCidr(text)
    if (cidr === undefined) fields.report.error(place, `expected ${RANGE_RULE}, found ${describe(text)}`)
    else cidrs.push(cidr)
  }
  return cidrs
}

export const RANGE_RULE = 'an address range such as 10.0.0.0/8'
