// The ClusterIPs of a Service: `clusterIP`, `clusterIPs` and `ipFamilies` must tell one story.

import { familyOf, parseIp, type Family, type Ip } from '../../model/ip.ts'
import type { ServiceType } from '../../model/service.ts'
import { listed, type Fields } from './fields.ts'
import type { Place } from './place.ts'
import { describe } from './report.ts'

/** At most one of each family, in the Service's order; empty: headless, or nothing was allocated (rows 1, 2, 5). */
export function clusterIps(spec: Fields, type: ServiceType): Ip[] {
  const first = spec.text('clusterIP') ?? ''
  const listedIps = spec.texts('clusterIPs')
  const [head] = listedIps
  if (first !== '' && head !== undefined && !sameAddress(first, head.text)) {
    spec.report.error(
      head.place,
      `expected the address of spec.clusterIP, ${describe(first)}, found ${describe(head.text)}`,
    )
  }
  const texts = listedIps.length === 0 ? [{ text: first, place: spec.at('clusterIP') }] : listedIps
  const ips = first === 'None' || head?.text === 'None' ? noneOf(spec, texts) : readIps(spec, texts)
  checkFamilies(spec, ips)
  if ((spec.raw('clusterIP') ?? '') === '' && head === undefined && type !== 'ExternalName') {
    spec.report.warn(
      spec.at('clusterIP'),
      'missing: nothing allocates one here, so that the Service is not proxied; give an address, or None',
    )
  }
  return ips
}

interface PlacedText {
  readonly text: string
  readonly place: Place
}

function noneOf(spec: Fields, texts: readonly PlacedText[]): Ip[] {
  for (const { text, place } of texts) {
    if (text !== 'None') spec.report.error(place, `None cannot be combined with ${describe(text)}`)
  }
  return []
}

function readIps(spec: Fields, texts: readonly PlacedText[]): Ip[] {
  const ips: Ip[] = []
  for (const { text, place } of texts) {
    if (text === '') continue
    const ip = parseIp(text)
    if (ip === undefined) {
      spec.report.error(place, `expected an IP address or None, found ${describe(text)}`)
    } else if (ips.some((other) => familyOf(other) === familyOf(ip))) {
      spec.report.error(place, `expected at most one address of each family, found a second ${familyOf(ip)}`)
    } else ips.push(ip)
  }
  return ips
}

function checkFamilies(spec: Fields, ips: readonly Ip[]): void {
  for (const [i, { text, place }] of spec.texts('ipFamilies').entries()) {
    const ip = ips[i]
    if (text !== 'IPv4' && text !== 'IPv6') {
      const words: Family[] = ['IPv4', 'IPv6']
      spec.report.error(place, `expected ${listed(words)}, found ${describe(text)}`)
    } else if (ip !== undefined && familyOf(ip) !== text) {
      spec.report.error(place, `expected ${familyOf(ip)}, the family of ${ip}, found ${text}`)
    }
  }
}

function sameAddress(a: string, b: string): boolean {
  return a === b || (parseIp(a) !== undefined && parseIp(a) === parseIp(b))
}
