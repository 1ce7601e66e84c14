// The rules that we keep in chains of others: jumps from the built-in chains, and one rule in KUBE-FIREWALL, which
// belongs to kubelet too. They are ensured, never rewritten: what others have there stays where it is.

import type { FamilyContext } from './context.ts'
import {
  KUBE_EXTERNAL_SERVICES,
  KUBE_FIREWALL,
  KUBE_FORWARD,
  KUBE_NODEPORTS,
  KUBE_POSTROUTING,
  KUBE_PROXY_FIREWALL,
  KUBE_SERVICES,
  SHUNT_INPUT,
  SHUNT_STEER,
  SHUNT_STEER_OUT,
  type TableName,
} from './names.ts'
import { comment, ctState } from './rule.ts'

/** A rule of ours in a chain of others. */
export interface BaseRule {
  readonly table: TableName
  readonly chain: string
  /** Without `-A chain`. */
  readonly spec: string
}

/** In the order that they shall have from top to bottom. */
export function baseRules(context: Pick<FamilyContext, 'mechanism' | 'localhostNodePorts'>): BaseRule[] {
  const steering = context.mechanism !== 'off'
  const rules: BaseRule[] = []
  const add = (table: TableName, chain: string, spec: string): void => {
    rules.push({ table, chain, spec })
  }
  if (steering) {
    add('mangle', 'PREROUTING', jump('steering to the proxy', SHUNT_STEER))
    add('mangle', 'OUTPUT', jump('steering to the proxy', SHUNT_STEER_OUT))
  }
  for (const chain of ['PREROUTING', 'OUTPUT']) add('nat', chain, jump(PORTALS, KUBE_SERVICES))
  add('nat', 'POSTROUTING', jump('kubernetes postrouting rules', KUBE_POSTROUTING))
  for (const chain of ['INPUT', 'FORWARD', 'OUTPUT']) {
    add('filter', chain, newOnly('kubernetes load balancer firewall', KUBE_PROXY_FIREWALL))
    if (chain === 'INPUT') {
      if (steering) add('filter', chain, jump('connections of the proxy', SHUNT_INPUT))
      add('filter', chain, jump('kubernetes health check service ports', KUBE_NODEPORTS))
    }
    if (chain === 'FORWARD') add('filter', chain, jump('kubernetes forwarding rules', KUBE_FORWARD))
    // Row 56: what the node itself sends to external addresses is not refused.
    if (chain !== 'INPUT') add('filter', chain, newOnly(PORTALS, KUBE_SERVICES))
    if (chain !== 'OUTPUT')
      add('filter', chain, newOnly('kubernetes externally-visible service portals', KUBE_EXTERNAL_SERVICES))
    if (context.localhostNodePorts && chain !== 'FORWARD') add('filter', chain, FIREWALL_JUMP)
  }
  if (context.localhostNodePorts) add('filter', KUBE_FIREWALL, MARTIAN_GUARD)
  return rules
}

/** kubelet writes the same jump; it is removed only with the chain. */
export const FIREWALL_JUMP = `-j ${KUBE_FIREWALL}`

/** Row 20: with route_localnet on, a neighbour could otherwise reach what listens on 127.0.0.1. */
export const MARTIAN_GUARD =
  '! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" ' +
  '-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP'

/** True for rules in chains of others that only we, or kube-proxy, write: today's form or an older one. */
export function isOurBaseRule({ chain, spec }: Pick<BaseRule, 'chain' | 'spec'>): boolean {
  if (chain === KUBE_FIREWALL) return spec === MARTIAN_GUARD
  const target = targetOf(spec)
  return BUILT_IN.has(chain) && target !== undefined && (HOOKED.has(target) || target.startsWith('SHUNT-'))
}

/** The chain or target of a rule; undefined: none. */
export function targetOf(spec: string): string | undefined {
  return / -[jg] (\S+)/.exec(` ${spec}`)?.[1]
}

const BUILT_IN: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])

/** Not KUBE-MARK-MASQ: plugins for host ports jump to it from chains of theirs. */
const HOOKED: ReadonlySet<string> = new Set([
  KUBE_SERVICES,
  KUBE_EXTERNAL_SERVICES,
  KUBE_NODEPORTS,
  KUBE_POSTROUTING,
  KUBE_FORWARD,
  KUBE_PROXY_FIREWALL,
])

const PORTALS = 'kubernetes service portals'

function jump(text: string, chain: string): string {
  return `${comment(text)} -j ${chain}`
}

function newOnly(text: string, chain: string): string {
  return `${ctState('NEW')} ${comment(text)} -j ${chain}`
}
