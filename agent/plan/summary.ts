// A PlanDelta in lines for people: `+` added, `-` removed, `~` changed, `!` a conflict.

import { hostPort, FAMILIES, type Family } from '../model/ip.ts'
import type { FamilyDelta, PlanDelta, PortChange } from './diff.ts'
import type { Frontend, PlanEndpoint, ServicePortPlan, Steering, Verdict } from './plan.ts'
import { policyText, tlsRouteText } from './policy-text.ts'

/** One line for each change, families in order; none for an empty delta. */
export function summarizeDelta(delta: PlanDelta): string[] {
  const lines = delta.options === undefined ? [] : ['~ options']
  for (const family of FAMILIES) {
    const change = delta.families[family]
    if (change === null) lines.push(`- ${family}`)
    else if (change !== undefined) lines.push(...familyLines(family, change))
  }
  return lines
}

function familyLines(family: Family, delta: FamilyDelta): string[] {
  const conflicts = (delta.conflicts ?? []).map(({ ip, port, protocol, winner, losers }) => {
    const address = ip === undefined ? `NodePort ${port}` : hostPort(ip, port)
    return `! ${family} ${address}/${protocol} goes to ${winner}, not to ${losers.join(', ')}`
  })
  return [
    ...(delta.facts === undefined
      ? []
      : [`~ ${family} node: addresses, Pod detection or NodePort addresses`]),
    ...delta.ports.map((change) => portLine(family, change)),
    ...conflicts,
  ]
}

function portLine(family: Family, change: PortChange): string {
  switch (change.kind) {
    case 'added':
      return `+ ${family} ${change.key}  ${contentText(change.after)}`
    case 'removed':
      return `- ${family} ${change.key}  ${contentText(change.before)}`
    case 'changed': {
      const { before, after, what } = change
      return `~ ${family} ${change.key}  ${what.map((field) => fieldText(field, before, after)).join(' · ')}`
    }
  }
}

function contentText(port: ServicePortPlan): string {
  const steered = port.steering.kind === 'steered' ? ' · steered' : ''
  return `${port.frontends.map(addressText).join(', ')} → ${count(port.cluster)}${steered}`
}

function count(pool: readonly PlanEndpoint[]): string {
  return pool.length === 1 ? '1 endpoint' : `${pool.length} endpoints`
}

function fieldText(field: keyof ServicePortPlan, before: ServicePortPlan, after: ServicePortPlan): string {
  if (field === 'frontends') return frontendsText(before.frontends, after.frontends)
  if (field === 'cluster') return `endpoints ${listText(before.cluster, after.cluster, endpointText)}`
  if (field === 'local') return `local endpoints ${listText(before.local, after.local, endpointText)}`
  if (field === 'steering') return `${steeringText(before.steering)} → ${steeringText(after.steering)}`
  if (field === 'policy') return `policy ${policyWord(before)} → ${policyWord(after)}`
  if (field === 'tlsRoutes')
    return `TLS routes ${listText(before.tlsRoutes, after.tlsRoutes, tlsRouteText).replace(/^differ$/, 'reordered')}`
  return `${field} ${before[field] ?? 'none'} → ${after[field] ?? 'none'}`
}

function policyWord({ policy }: ServicePortPlan): string {
  return policy === undefined ? 'none' : policyText(policy)
}

function frontendsText(before: readonly Frontend[], after: readonly Frontend[]): string {
  const moved = listText(before, after, addressText)
  if (moved !== 'differ') return `addresses ${moved}`
  const verdicts = after.flatMap((frontend, i) => {
    const old = before[i]
    if (old === undefined) return []
    const now = verdictsText(frontend)
    const was = verdictsText(old)
    return was === now ? [] : [`${addressText(frontend)} ${was} → ${now}`]
  })
  return verdicts.length > 0 ? verdicts.join(', ') : 'addresses differ in source ranges or steering'
}

/** What came and what went by name; `differ` if it is the same names. */
function listText<T>(before: readonly T[], after: readonly T[], name: (item: T) => string): string {
  const old = new Set(before.map(name))
  const now = new Set(after.map(name))
  const changes = [
    ...[...now].filter((item) => !old.has(item)).map((item) => `+${item}`),
    ...[...old].filter((item) => !now.has(item)).map((item) => `-${item}`),
  ]
  return changes.length === 0 ? 'differ' : changes.join(' ')
}

function addressText({ kind, ip, port }: Frontend): string {
  return ip === undefined ? `${kind} ${port}` : `${kind} ${hostPort(ip, port)}`
}

function endpointText({ ip, port, state, weight }: PlanEndpoint): string {
  const share = weight === undefined ? '' : ` ×${weight}`
  return `${hostPort(ip, port)}${share}${state === 'terminating' ? ' (terminating)' : ''}`
}

function verdictsText({ verdicts: { pod, host, outside } }: Frontend): string {
  const texts = [verdictText(pod), verdictText(host), verdictText(outside)]
  return new Set(texts).size === 1 ? (texts[0] ?? '') : texts.join('/')
}

function verdictText(verdict: Verdict): string {
  return verdict.kind === 'forward'
    ? `${verdict.pool}${verdict.masquerade ? ' masqueraded' : ''}`
    : verdict.kind
}

function steeringText(steering: Steering): string {
  return steering.kind === 'steered' ? `steered (${steering.because})` : 'not steered'
}
