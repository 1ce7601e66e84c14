// What one Service port adds to the chains that all Service ports share: dispatch in nat; reject, drop, source ranges
// and health check ports in filter. Every line follows from a verdict of the plan; the comments are kube-proxy's.

import { STEERED_MARK, STEERED_MATCH_MASK } from '../../model/steering-names.ts'
import type { Frontend, ServicePortPlan, SourceFilter } from '../../plan/plan.ts'
import { clientKinds, exclusiveRules, type ClientRule } from './clients.ts'
import type { FamilyContext } from './context.ts'
import { isForward, poolChain, serviceLayout, type ServiceLayout } from './layout.ts'
import { KUBE_EXTERNAL_SERVICES, KUBE_NODEPORTS, KUBE_PROXY_FIREWALL, KUBE_SERVICES } from './names.ts'
import { DESTINATION_IS_LOCAL, from, mark, notMark, rule, to, type RuleParts } from './rule.ts'

/** Chains to which every Service port may add lines, as `table chain`. */
export const SHARED_CHAINS = [
  `nat ${KUBE_SERVICES}`,
  `nat ${KUBE_NODEPORTS}`,
  `filter ${KUBE_SERVICES}`,
  `filter ${KUBE_EXTERNAL_SERVICES}`,
  `filter ${KUBE_NODEPORTS}`,
  `filter ${KUBE_PROXY_FIREWALL}`,
] as const

export type SharedChain = (typeof SHARED_CHAINS)[number]

/** A part of a shared chain: NodePorts are refused after all addresses, because an address beats them (row 15). */
export type SharedPart = SharedChain | typeof NODEPORT_REFUSALS

export const NODEPORT_REFUSALS = `filter ${KUBE_EXTERNAL_SERVICES} NodePorts`

/** Lines, each with its end. */
export type SharedLines = Readonly<Partial<Record<SharedPart, string>>>

export function sharedLines(port: ServicePortPlan, context: FamilyContext): SharedLines {
  const layout = serviceLayout(port, context)
  const lines: Partial<Record<SharedPart, string>> = {}
  const add = (shared: SharedPart, parts: RuleParts): void => {
    const [, chain = ''] = shared.split(' ')
    lines[shared] = `${lines[shared] ?? ''}${rule(chain, { protocol: port.protocol, ...parts })}\n`
  }
  for (const frontend of port.frontends) {
    if (frontend.proxyOnly) failClosed(frontend, context, layout, add)
    else if (frontend.kind === 'ClusterIP') clusterIp(frontend, context, layout, add)
    else external(frontend, context, layout, add)
    if (frontend.sources !== undefined) sourceRanges(frontend, frontend.sources, context, layout, add)
  }
  if (port.healthCheckNodePort !== 0)
    add(`filter ${KUBE_NODEPORTS}`, {
      protocol: 'TCP',
      comment: `${layout.label} health check node port`,
      port: port.healthCheckNodePort,
      target: '-j ACCEPT',
    })
  return lines
}

type Add = (shared: SharedPart, parts: RuleParts) => void

function clusterIp(frontend: Frontend, context: FamilyContext, layout: ServiceLayout, add: Add): void {
  const { ip, port, verdicts } = frontend
  if (ip === undefined) return
  const targets = exclusiveRules(context.detector, (kind) => {
    const verdict = verdicts[kind]
    return isForward(verdict) ? poolChain(layout, verdict.pool) : undefined
  })
  for (const { match, value } of targets)
    add(`nat ${KUBE_SERVICES}`, {
      ...match,
      destination: to(ip),
      comment: `${layout.label} cluster IP`,
      port,
      target: `-j ${value}`,
    })
  for (const parts of refusals(frontend, context, layout))
    add(`filter ${KUBE_SERVICES}`, { ...parts, destination: to(ip), port })
}

const KIND_COMMENT = { ExternalIP: ' external IP', LoadBalancerIP: ' loadbalancer IP', NodePort: '' } as const

function external(frontend: Frontend, context: FamilyContext, layout: ServiceLayout, add: Add): void {
  const { kind, ip } = frontend
  if (kind === 'ClusterIP') return
  const chain = layout.targets.get(frontend)
  if (chain !== undefined)
    add(`nat ${ip === undefined ? KUBE_NODEPORTS : KUBE_SERVICES}`, {
      ...(ip === undefined ? {} : { destination: to(ip) }),
      comment: layout.label + KIND_COMMENT[kind],
      port: frontend.port,
      target: `-j ${chain}`,
    })
  for (const parts of refusals(frontend, context, layout))
    for (const destination of externalDestinations(frontend, context))
      add(refusalsOf(frontend), {
        ...parts,
        ...destination,
        early: [destination.early, parts.early].filter((early) => early !== undefined).join(' '),
        port: frontend.port,
      })
}

function refusalsOf({ ip }: Frontend): SharedPart {
  return ip === undefined ? NODEPORT_REFUSALS : `filter ${KUBE_EXTERNAL_SERVICES}`
}

/** How filter recognises packets to the frontend that nat did not change. */
function externalDestinations(
  { ip }: Frontend,
  context: FamilyContext,
): Pick<RuleParts, 'destination' | 'early'>[] {
  if (ip !== undefined) return [{ destination: to(ip) }]
  return context.nodePortDestinations.map((destination) => ({ destination, early: DESTINATION_IS_LOCAL }))
}

/**
 * Rows 54 and 55. Forwarded clients do not come here with this destination, and row 56's `pass` of the node's own
 * packets to external addresses is already true by the hooks (none on OUTPUT); so when all others are refused alike,
 * one rule for everybody is enough.
 */
function refusals(frontend: Frontend, context: FamilyContext, layout: ServiceLayout): RuleParts[] {
  const kinds = clientKinds(context.detector)
  const verdictOf = (kind: (typeof kinds)[number]): string | undefined => {
    const { kind: verdict } = frontend.verdicts[kind]
    return verdict === 'reject' || verdict === 'drop' ? verdict : undefined
  }
  const distinct = new Set(kinds.map(verdictOf).filter((verdict) => verdict !== undefined))
  const mustSpare = kinds.some((kind) => kind !== 'host' && frontend.verdicts[kind].kind === 'pass')
  const [only] = distinct
  const rules: ClientRule<string>[] =
    only !== undefined && distinct.size === 1 && !mustSpare
      ? [{ match: {}, value: only }]
      : exclusiveRules(context.detector, verdictOf)
  return rules.map(({ match, value }) => ({
    ...match,
    comment: `${layout.label} has no ${value === 'drop' ? 'local ' : ''}endpoints`,
    target: value === 'drop' ? '-j DROP' : rejectTarget(context),
  }))
}

function rejectTarget({ family }: FamilyContext): string {
  return `-j REJECT --reject-with ${family === 'IPv4' ? 'icmp' : 'icmp6'}-port-unreachable`
}

/** whenProxyDown=reject: what the proxy does not take is refused, on every hook that such a packet passes. */
function failClosed(frontend: Frontend, context: FamilyContext, layout: ServiceLayout, add: Add): void {
  const parts: RuleParts = {
    comment: `${layout.label} is served by the proxy alone`,
    port: frontend.port,
    matches: context.mechanism === 'off' ? [] : [notMark(STEERED_MARK, STEERED_MATCH_MASK)],
    target: rejectTarget(context),
  }
  if (frontend.ip !== undefined) add(`filter ${KUBE_SERVICES}`, { ...parts, destination: to(frontend.ip) })
  if (frontend.kind !== 'ClusterIP')
    for (const destination of externalDestinations(frontend, context))
      add(refusalsOf(frontend), { ...parts, ...destination })
}

/**
 * Row 24. Packets that KUBE-FW let through have another destination by now. Allowed sources must pass by themselves
 * where nat leaves them alone: the proxy's connections, and clients that are refused for another reason.
 */
function sourceRanges(
  frontend: Frontend,
  sources: SourceFilter,
  context: FamilyContext,
  layout: ServiceLayout,
  add: Add,
): void {
  const { ip, port } = frontend
  if (ip === undefined) return
  const chain = `filter ${KUBE_PROXY_FIREWALL}` as const
  const comment = `${layout.label} traffic not accepted by ${[...layout.firewall.keys()][0] ?? 'source ranges'}`
  const allowed = [...sources.cidrs, ...sources.selfIps].map(from)
  const allForward = clientKinds(context.detector).every((kind) => isForward(frontend.verdicts[kind]))
  const steered = frontend.steered && context.mechanism !== 'off'
  if (frontend.steered || frontend.proxyOnly || !allForward)
    for (const source of allowed)
      add(chain, {
        source,
        destination: to(ip),
        comment: `${layout.label} loadbalancer IP`,
        port,
        target: '-j RETURN',
      })
  add(chain, { destination: to(ip), comment, port, target: '-j DROP' })
  if (!steered || context.mechanism !== 'dnat') return
  // The destination is the proxy's by now; what the client dialled is in the connection's entry.
  const matches = [
    mark(STEERED_MARK, STEERED_MATCH_MASK),
    `-m conntrack --ctorigdst ${ip} --ctorigdstport ${port}`,
  ]
  for (const source of allowed)
    add(chain, { source, comment: `${layout.label} loadbalancer IP`, matches, target: '-j RETURN' })
  add(chain, { comment, matches, target: '-j DROP' })
}
