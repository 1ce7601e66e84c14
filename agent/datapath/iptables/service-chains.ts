// The nat chains of one Service port: KUBE-SVC and KUBE-SVL (draw an endpoint), KUBE-SEP (one endpoint), KUBE-EXT
// (external addresses by kind of client), KUBE-FW (source ranges).

import type { PlanEndpoint, ServicePortPlan, Verdicts } from '../../plan/plan.ts'
import { hostPort } from '../../model/ip.ts'
import { lowerProtocol } from '../../model/port.ts'
import { clientKinds, exclusiveRules, isPod, type ClientMatch } from './clients.ts'
import type { FamilyContext } from './context.ts'
import {
  isDispatched,
  isForward,
  poolChain,
  serviceLayout,
  type FirewallChain,
  type ServiceLayout,
} from './layout.ts'
import { endpointChain, KUBE_MARK_MASQ } from './names.ts'
import { comment, dnatTo, from, probability, rule, SOURCE_IS_LOCAL, to } from './rule.ts'

/** Chain name to its lines, each with its end. Made when asked for and not kept: a hundred thousand of them are big. */
export function serviceChains(port: ServicePortPlan, context: FamilyContext): Map<string, string> {
  const layout = serviceLayout(port, context)
  const chains = new Map<string, string>()
  const pools = usedPools(port, context)
  const endpoints = new Map<string, PlanEndpoint>()
  for (const pool of pools) {
    const named = port[pool].map((endpoint) => ({ endpoint, chain: endpointChain(layout.seed, endpoint) }))
    for (const { endpoint, chain } of named) endpoints.set(chain, endpoint)
    const lines = [...clusterIpMasquerade(port, context, layout, pool)]
    const name = poolChain(layout, pool)
    chains.set(name, text([...lines, ...drawRules(port, layout, name, named)]))
  }
  for (const [name, verdicts] of layout.external)
    chains.set(name, text(externalRules(name, verdicts, context, layout)))
  for (const [name, firewall] of layout.firewall)
    chains.set(name, text(firewallRules(name, firewall, layout)))
  for (const [name, endpoint] of endpoints)
    chains.set(name, text(endpointRules(name, endpoint, port, layout)))
  return chains
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

/** The pools that some dispatched frontend forwards to. */
function usedPools(port: ServicePortPlan, context: FamilyContext): ('cluster' | 'local')[] {
  const used = new Set<string>()
  for (const frontend of port.frontends) {
    if (!isDispatched(frontend, context)) continue
    for (const kind of clientKinds(context.detector)) {
      const verdict = frontend.verdicts[kind]
      if (isForward(verdict)) used.add(verdict.pool)
    }
  }
  return (['cluster', 'local'] as const).filter((pool) => used.has(pool))
}

/** Row 57: whom the endpoints would otherwise answer directly. */
function clusterIpMasquerade(
  port: ServicePortPlan,
  context: FamilyContext,
  layout: ServiceLayout,
  pool: 'cluster' | 'local',
): string[] {
  return port.frontends.flatMap((frontend) => {
    const { ip } = frontend
    if (frontend.kind !== 'ClusterIP' || ip === undefined || !isDispatched(frontend, context)) return []
    const rules = exclusiveRules(context.detector, (kind) => {
      const verdict = frontend.verdicts[kind]
      return isForward(verdict) && verdict.pool === pool && verdict.masquerade ? true : undefined
    })
    return rules.map(({ match }) =>
      rule(poolChain(layout, pool), {
        ...match,
        destination: to(ip),
        protocol: port.protocol,
        comment: `${layout.label} cluster IP`,
        port: frontend.port,
        target: `-j ${KUBE_MARK_MASQ}`,
      }),
    )
  })
}

/** Rows 46 and 49 to 52: remembered clients first, then a uniform draw. */
function drawRules(
  port: ServicePortPlan,
  layout: ServiceLayout,
  chain: string,
  endpoints: readonly { readonly endpoint: PlanEndpoint; readonly chain: string }[],
): string[] {
  const lines: string[] = []
  const arrow = (endpoint: PlanEndpoint): string =>
    comment(`${layout.label} -> ${hostPort(endpoint.ip, endpoint.port)}`)
  if (port.affinitySeconds !== undefined)
    for (const { endpoint, chain: target } of endpoints)
      lines.push(
        `-A ${chain} ${arrow(endpoint)} -m recent --rcheck --seconds ${port.affinitySeconds} --reap ` +
          `--name ${target} --mask ${fullMask(port)} --rsource -j ${target}`,
      )
  for (const [i, { endpoint, chain: target }] of endpoints.entries()) {
    const left = endpoints.length - i
    const draw = left === 1 ? '' : ` -m statistic --mode random --probability ${probability(1 / left)}`
    lines.push(`-A ${chain} ${arrow(endpoint)}${draw} -j ${target}`)
  }
  return lines
}

/** Row 59 (hairpin), affinity's record, DNAT. */
function endpointRules(
  chain: string,
  endpoint: PlanEndpoint,
  port: ServicePortPlan,
  layout: ServiceLayout,
): string[] {
  const remember =
    port.affinitySeconds === undefined
      ? undefined
      : `-m recent --set --name ${chain} --mask ${fullMask(port)} --rsource`
  return [
    rule(chain, { source: from(endpoint.ip), comment: layout.label, target: `-j ${KUBE_MARK_MASQ}` }),
    rule(chain, {
      protocol: port.protocol,
      comment: layout.label,
      matches: [remember, `-m ${lowerProtocol(port.protocol)}`],
      target: dnatTo(endpoint.ip, endpoint.port),
    }),
  ]
}

function fullMask(port: ServicePortPlan): string {
  return port.family === 'IPv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
}

/** Rows 36 to 38 and 58. Kinds are tried in their order; a chain of endpoints never returns. */
function externalRules(
  chain: string,
  verdicts: Verdicts,
  context: FamilyContext,
  layout: ServiceLayout,
): string[] {
  const kinds = clientKinds(context.detector)
  const destinations = `${layout.label} external destinations`
  const last = kinds.at(-1) ?? 'outside'
  const alike = kinds.every((kind) => JSON.stringify(verdicts[kind]) === JSON.stringify(verdicts[last]))
  const lines: string[] = []
  for (const kind of alike ? [last] : kinds) {
    const verdict = verdicts[kind]
    const match = kind === last ? {} : matchOf(kind, context)
    const who = kind === last ? '' : kind === 'pod' ? 'pod ' : 'LOCAL '
    if (!isForward(verdict)) {
      if (kind !== last) lines.push(rule(chain, { ...match, target: '-j RETURN' }))
      continue
    }
    if (verdict.masquerade) {
      const comment = `masquerade ${who}traffic for ${destinations}`
      lines.push(rule(chain, { ...match, comment, target: `-j ${KUBE_MARK_MASQ}` }))
    }
    const jump = `-j ${poolChain(layout, verdict.pool)}`
    if (kind === last) lines.push(rule(chain, { target: jump }))
    else {
      const comment = `${kind === 'pod' ? 'pod' : 'route LOCAL'} traffic for ${destinations}`
      lines.push(rule(chain, { ...match, comment, target: jump }))
    }
  }
  return lines
}

function matchOf(kind: 'pod' | 'host' | 'outside', { detector }: FamilyContext): ClientMatch {
  if (kind === 'host') return { early: SOURCE_IS_LOCAL }
  return kind === 'pod' && detector.kind !== 'none' ? isPod(detector) : {}
}

/** Rows 24, 25: allowed sources go on to KUBE-EXT, the rest leaves nat as it came and is dropped in filter. */
function firewallRules(chain: string, firewall: FirewallChain, layout: ServiceLayout): string[] {
  const comment = `${layout.label} loadbalancer IP`
  const target = `-j ${firewall.external}`
  return [
    ...[...firewall.sources.cidrs, ...firewall.sources.selfIps].map((source) =>
      rule(chain, { source: from(source), comment, target }),
    ),
    rule(chain, {
      comment: `other traffic to ${layout.label} will be dropped by KUBE-PROXY-FIREWALL`,
    }),
  ]
}
