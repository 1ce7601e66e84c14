// A trace as text and as data.

import type { Fate, Hop, Walk } from '../../datapath/iptables/walk.ts'
import { hostPort } from '../../model/ip.ts'
import type { Explanation, OutcomeEndpoint } from '../../plan/explanation.ts'
import type { Packet } from '../../plan/packet.ts'
import type { Printed } from '../output.ts'
import { endpointCondition } from '../plan-text.ts'
import { renderTree, type Branch } from '../tree.ts'
import { fateText, isProxied, percent, type Comparison } from './compare.ts'
import type { SteeringFacts } from './steering-facts.ts'

export interface Trace {
  readonly packet: Packet
  readonly generation: number
  readonly expected: Explanation
  /** undefined: offline, the kernel was not asked. */
  readonly actual: ActualTrace | undefined
}

export interface ActualTrace {
  readonly walk: Walk
  readonly steering: SteeringFacts
  readonly comparison: Comparison
  readonly readMs: number
}

export function printedTrace(trace: Trace): Printed {
  return { data: () => traceAsData(trace), text: (wide) => renderTree(branches(trace, wide)) }
}

function traceAsData({ packet, generation, expected, actual }: Trace): unknown {
  return {
    packet,
    generation,
    expected: { outcome: expected.outcome, match: expected.match ?? null, steps: expected.steps },
    actual:
      actual === undefined
        ? null
        : {
            fates: actual.walk.fates,
            notes: actual.walk.notes,
            steering: actual.steering,
            taker: actual.comparison.taker,
            readMs: Math.round(actual.readMs),
          },
    agrees: actual === undefined ? null : actual.comparison.differences.length === 0,
    differences: actual?.comparison.differences ?? [],
  }
}

function branches(trace: Trace, wide: boolean): readonly Branch[] {
  const { expected, actual, generation } = trace
  const lines: Branch[] = expected.steps.map(({ label, text }) => ({ label, text }))
  lines.push({
    label: 'plan',
    text: outcomeText(expected),
    children: actual === undefined ? endpointLines(expected) : [],
  })
  if (actual === undefined) return [...lines, { label: 'kernel', text: 'not asked: offline' }]
  const { walk, steering, comparison, readMs } = actual
  lines.push(...kernelBranches(walk, expected, wide))
  if (expected.outcome.kind === 'forward' && expected.outcome.steered)
    lines.push({
      label: 'proxy',
      text: steering.ready ? 'ready' : `not ready: ${steering.because}`,
      children: steering.links.map((link) => ({
        label: link.name,
        text: `${link.holds ? '✓' : '✗'} ${link.text}`,
      })),
    })
  lines.push({
    label: 'now',
    text: `${comparison.taker.kind} takes a new connection: ${comparison.taker.because}`,
  })
  lines.push(...walk.notes.map((note) => ({ label: 'note', text: note })))
  const read = `read ${Math.round(readMs)} ms ago, generation ${generation}`
  lines.push(
    comparison.differences.length === 0
      ? { label: 'verdict', text: `kernel agrees with plan (${read})` }
      : {
          label: 'verdict',
          text: `kernel differs from plan (${read})`,
          children: comparison.differences.map((text) => ({ label: '', text: `✗ ${text}` })),
        },
  )
  return lines
}

function outcomeText({ outcome }: Explanation): string {
  switch (outcome.kind) {
    case 'forward': {
      const masquerade = outcome.endpoints.every((one) => one.masquerade)
        ? 'masquerade'
        : outcome.endpoints.some((one) => one.masquerade)
          ? 'masquerade only to itself'
          : 'keep source'
      const count = outcome.endpoints.length
      return `forward · ${count === 1 ? 'one endpoint' : `random over ${count}`} · ${masquerade}${outcome.steered ? ' · steered' : ''}`
    }
    case 'reject':
      return 'reject'
    case 'drop':
    case 'pass':
      return `${outcome.kind} · ${outcome.because}`
  }
}

function endpointLines({ outcome }: Explanation): readonly Branch[] {
  if (outcome.kind !== 'forward') return []
  return outcome.endpoints.map(({ endpoint, masquerade }) => ({
    label: percent(1 / outcome.endpoints.length),
    text: `${hostPort(endpoint.ip, endpoint.port)}   ${endpointCondition(endpoint)}${masquerade ? ' · masqueraded' : ''}`,
  }))
}

/** One line for the chains that every fate shares, then one for each fate. */
function kernelBranches(walk: Walk, expected: Explanation, wide: boolean): readonly Branch[] {
  const shared = sharedHops(walk.fates)
  const fates = walk.fates.map((fate) => fateBranch(fate, shared.length, expected, wide))
  const path = pathText(shared)
  const rules = wide ? shared.map(ruleBranch) : []
  return [
    {
      label: 'kernel',
      text: path === '' ? 'iptables: no rule matches' : path,
      children: [...rules, ...fates],
    },
  ]
}

function sharedHops(fates: readonly Fate[]): readonly Hop[] {
  const [first, ...others] = fates
  const hops = first?.hops ?? []
  const differs = hops.findIndex((hop, i) => others.some((fate) => !sameHop(fate.hops[i], hop)))
  return differs === -1 ? hops : hops.slice(0, differs)
}

function sameHop(a: Hop | undefined, b: Hop): boolean {
  return a?.table === b.table && a.chain === b.chain && a.rule === b.rule
}

/** `iptables nat: PREROUTING → KUBE-SERVICES rule 4/9 → KUBE-SVC-…`, a new table begins a new part. */
function pathText(hops: readonly Hop[]): string {
  let table = ''
  let at = ''
  let text = ''
  for (const hop of hops) {
    if (hop.table !== table) text += `${text === '' ? 'iptables ' : ' · '}${hop.table}: `
    if (hop.table !== table || hop.chain !== at) text += hop.table === table ? ` · ${hop.chain}` : hop.chain
    text += ` rule ${hop.rule}/${hop.of} → ${hop.leads}`
    table = hop.table
    at = hop.leads
  }
  return text
}

function fateBranch(fate: Fate, skip: number, expected: Explanation, wide: boolean): Branch {
  const own = fate.hops.slice(skip)
  const path = ownPath(own)
  const where = fate.translated && fate.end === 'delivered' ? conditionOf(fate, expected) : ''
  const end =
    isProxied(fate) || !fate.translated || fate.end !== 'delivered' ? fateText(fate) : endpointText(fate)
  const arrow = path === '' ? '' : `${path} → `
  return {
    label: percent(fate.probability),
    text: `${arrow}${end}${where === '' ? '' : `   ${where}`}`,
    children: wide ? own.map(ruleBranch) : [],
  }
}

/** The chain of the endpoint, or the last that led on; how it came there is in the wide form. */
function ownPath(hops: readonly Hop[]): string {
  const chains = hops.map((hop) => hop.leads).filter((name) => name.startsWith('KUBE-S'))
  return chains.at(-1) ?? ''
}

function endpointText(fate: Fate): string {
  return `${hostPort(fate.destination.ip, fate.destination.port)}${fate.masqueraded ? ' · masqueraded' : ''}`
}

function conditionOf(fate: Fate, { outcome }: Explanation): string {
  if (outcome.kind !== 'forward') return ''
  const found = outcome.endpoints.find(
    (one: OutcomeEndpoint) =>
      one.endpoint.ip === fate.destination.ip && one.endpoint.port === fate.destination.port,
  )
  return found === undefined ? 'not an endpoint of the plan' : endpointCondition(found.endpoint)
}

function ruleBranch(hop: Hop): Branch {
  return { label: `${hop.table} ${hop.chain} ${hop.rule}/${hop.of}`, text: hop.text }
}
