// Names of chains. The per-Service ones are kube-proxy's, hash for hash (kube-proxy reference, section 4.1), so that
// taking over from it is one restore and every runbook's grep still finds its chain.
//
//   x = first 16 characters of base32(sha256("namespace/name[:portName]" + "tcp" [+ "ip:port"]))

import { hash } from 'node:crypto'

import type { Family } from '../../model/ip.ts'
import { hostPort } from '../../model/ip.ts'
import { lowerProtocol } from '../../model/port.ts'
import type { PlanEndpoint, ServicePortPlan } from '../../plan/plan.ts'

export type TableName = 'mangle' | 'nat' | 'filter'

/** In the order of a restore text, which is applied table by table; see restore-text.ts for the exception. */
export const TABLES: readonly TableName[] = ['nat', 'filter', 'mangle']

export const KUBE_SERVICES = 'KUBE-SERVICES'
export const KUBE_EXTERNAL_SERVICES = 'KUBE-EXTERNAL-SERVICES'
export const KUBE_NODEPORTS = 'KUBE-NODEPORTS'
export const KUBE_POSTROUTING = 'KUBE-POSTROUTING'
export const KUBE_MARK_MASQ = 'KUBE-MARK-MASQ'
export const KUBE_FORWARD = 'KUBE-FORWARD'
export const KUBE_PROXY_FIREWALL = 'KUBE-PROXY-FIREWALL'
export const KUBE_PROXY_CANARY = 'KUBE-PROXY-CANARY'
/** Shared with kubelet: we keep one rule in it and never flush it. */
export const KUBE_FIREWALL = 'KUBE-FIREWALL'

export const SHUNT_INPUT = 'SHUNT-INPUT'
/** Of PREROUTING: marks packets of steered connections. */
export const SHUNT_STEER = 'SHUNT-STEER'
/** Of OUTPUT: the same for connections that processes of the node open, with a mark of their own. */
export const SHUNT_STEER_OUT = 'SHUNT-STEER-OUT'
/** First packets of TCP connections: shall the proxy have them? */
export const SHUNT_STEER_NEW = 'SHUNT-STEER-NEW'
export const SHUNT_STEER_OUT_NEW = 'SHUNT-STEER-OUT-NEW'
/** Marks packet and connection. */
export const SHUNT_STEER_TAKE = 'SHUNT-STEER-TAKE'
export const SHUNT_STEER_OUT_TAKE = 'SHUNT-STEER-OUT-TAKE'

/** Chains that kubelet, or an older one, makes: never ours to change or remove. */
const KUBELETS: ReadonlySet<string> = new Set([
  KUBE_FIREWALL,
  'KUBE-KUBELET-CANARY',
  'KUBE-IPTABLES-HINT',
  'KUBE-MARK-DROP',
])

/** Chains of the ipvs mode and of policies of others begin with KUBE- too; these are the ones that we write. */
const OURS =
  /^(?:KUBE-(?:SERVICES|EXTERNAL-SERVICES|NODEPORTS|POSTROUTING|MARK-MASQ|FORWARD|PROXY-FIREWALL|PROXY-CANARY)|KUBE-(?:SVC|SVL|EXT|XLB|FW|SEP)-[A-Z2-7]{16}|SHUNT-.*)$/

/** True for chains that we write, and that we remove when the plan does not have them. */
export function isOurChain(name: string): boolean {
  return OURS.test(name) && !KUBELETS.has(name)
}

/** `ns/name` or `ns/name:portName`: what kube-proxy calls the Service port in comments. */
export function servicePortLabel(port: Pick<ServicePortPlan, 'namespace' | 'service' | 'portName'>): string {
  const name = `${port.namespace}/${port.service}`
  return port.portName === '' ? name : `${name}:${port.portName}`
}

/** What is hashed for the chains of a Service port. */
export function servicePortSeed(
  port: Pick<ServicePortPlan, 'namespace' | 'service' | 'portName' | 'protocol'>,
): string {
  return servicePortLabel(port) + lowerProtocol(port.protocol)
}

export type ServiceChainKind = 'SVC' | 'SVL' | 'EXT' | 'FW'

/** `KUBE-SVC-…` of a hash made by {@link chainHash}. */
export function serviceChain(kind: ServiceChainKind, hashed: string): string {
  return `KUBE-${kind}-${hashed}`
}

/** The endpoint's chain; the hash covers the whole `ip:port` (trap 36). */
export function endpointChain(seed: string, endpoint: Pick<PlanEndpoint, 'ip' | 'port'>): string {
  return `KUBE-SEP-${chainHash(seed + hostPort(endpoint.ip, endpoint.port))}`
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** First 16 characters of standard base32 of SHA-256: exactly its first 80 bits, so there is no padding. */
export function chainHash(text: string): string {
  const digest = hash('sha256', text, 'buffer')
  let name = ''
  let bits = 0
  let value = 0
  for (let i = 0; i < 10; i++) {
    value = ((value << 8) | (digest[i] ?? 0)) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      name += BASE32.charAt((value >> bits) & 31)
    }
  }
  return name
}

/** Programs of a family: `iptables` or `ip6tables`. */
export function toolFamily(family: Family): 'iptables' | 'ip6tables' {
  return family === 'IPv4' ? 'iptables' : 'ip6tables'
}
