// One rule as text, in the very form in which iptables-save prints it (both variants print alike): addresses, input
// interface and protocol first, then comment, then the other matches, then the target. So what we read back can be
// compared as text.

import { prefixLengthOf, type Cidr } from '../../model/cidr.ts'
import { hostPort, type Ip } from '../../model/ip.ts'
import { lowerProtocol, type Port, type Protocol } from '../../model/port.ts'

export interface RuleParts {
  /** From {@link from} or {@link notFrom}. */
  readonly source?: string
  /** From {@link to}, {@link toRange} or {@link notToRange}. */
  readonly destination?: string
  /** `-i name`, `! -i name`. */
  readonly inInterface?: string
  readonly protocol?: Protocol
  readonly comment?: string
  /** Matches between comment and protocol match, as kube-proxy has `-m addrtype`. */
  readonly early?: string
  /** Needs `protocol`. */
  readonly port?: Port
  /** Other matches, each beginning with `-m`. */
  readonly matches?: readonly (string | undefined)[]
  /** `-j X …`; without it the rule only counts. */
  readonly target?: string
}

/** The line without its end. */
export function rule(chain: string, parts: RuleParts): string {
  let text = `-A ${chain}`
  const add = (part: string | undefined): void => {
    if (part !== undefined && part !== '') text += ` ${part}`
  }
  add(parts.source)
  add(parts.destination)
  add(parts.inInterface)
  if (parts.protocol !== undefined) text += ` -p ${lowerProtocol(parts.protocol)}`
  if (parts.comment !== undefined) text += ` ${comment(parts.comment)}`
  add(parts.early)
  if (parts.protocol !== undefined && parts.port !== undefined)
    text += ` -m ${lowerProtocol(parts.protocol)} --dport ${parts.port}`
  for (const match of parts.matches ?? []) add(match)
  add(parts.target)
  return text
}

/** Names come from objects that anybody may write; nothing of them may end the quotes, the line or the 255 bytes. */
export function comment(text: string): string {
  return `-m comment --comment "${text.replaceAll(/[^\w ./:;\->[\]]/g, '_').slice(0, 255)}"`
}

export function from(address: Ip | Cidr): string {
  return `-s ${kernelRange(address)}`
}

/** undefined for the range that has everything: no packet is outside it, the rule must be left out. */
export function notFrom(cidr: Cidr): string | undefined {
  return prefixLengthOf(cidr) === 0 ? undefined : `! -s ${kernelRange(cidr)}`
}

export function to(address: Ip | Cidr): string {
  return `-d ${kernelRange(address)}`
}

export function notTo(address: Ip | Cidr): string {
  return `! -d ${kernelRange(address)}`
}

export function dnatTo(ip: Ip, port: Port): string {
  return `-j DNAT --to-destination ${hostPort(kernelIp(ip) as Ip, port)}`
}

export function ctState(states: string): string {
  return `-m conntrack --ctstate ${states}`
}

export function mark(value: number, mask: number): string {
  return `-m mark --mark ${hex(value)}/${hex(mask)}`
}

export function notMark(value: number, mask: number): string {
  return `-m mark ! --mark ${hex(value)}/${hex(mask)}`
}

/** The target that sets `value` in the bits of `mask`; with mask 0 it toggles the bits of `value`. */
export function setMark(target: 'MARK' | 'CONNMARK', value: number, mask: number): string {
  return `-j ${target} --set-xmark ${hex(value)}/${hex(mask)}`
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`
}

export const SOURCE_IS_LOCAL = '-m addrtype --src-type LOCAL'
export const SOURCE_IS_NOT_LOCAL = '-m addrtype ! --src-type LOCAL'
export const DESTINATION_IS_LOCAL = '-m addrtype --dst-type LOCAL'

/** Ranges of length zero match everything and iptables-save does not print them. */
function kernelRange(address: Ip | Cidr): string {
  const slash = address.indexOf('/')
  if (slash < 0) return `${kernelIp(address)}/${address.includes(':') ? 128 : 32}`
  return kernelIp(address.slice(0, slash)) + address.slice(slash)
}

/** libc prints ::a:b (nothing but the last 32 bits set) with a dotted tail; RFC 5952 and our model do not. */
export function kernelIp(ip: string): string {
  const compatible = /^::([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(ip)
  if (compatible === null) return ip
  const [high, low] = [compatible[1] ?? '0', compatible[2] ?? '0'].map((group) => Number.parseInt(group, 16))
  return `::${[(high ?? 0) >> 8, (high ?? 0) & 255, (low ?? 0) >> 8, (low ?? 0) & 255].join('.')}`
}

/**
 * The probability as iptables-save prints it. kube-proxy writes 1/n with 10 decimals, the kernel keeps 31 bits of it and
 * the tool prints 11 decimals: 1/3 becomes 0.33333333349.
 */
export function probability(value: number): string {
  const kept = Math.round(0x80000000 * Number(value.toFixed(10)))
  return (kept / 0x80000000).toFixed(11)
}

/** One text of several rules, each with its end. */
export function lines(...rules: readonly string[]): string {
  return rules.map((line) => `${line}\n`).join('')
}
