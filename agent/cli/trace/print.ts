// A trace as text and as data.

import type { Fate, Hop, Walk } from '../../datapath/iptables/walk.ts'
import { hostPort } from '../../model/ip.ts'
import type { Explanation, ExplanationStep, OutcomeEndpoint } from '../../plan/explanation.ts'
import type { Packet } from '../../plan/packet.ts'
import type { Printed } from '../output.ts'
import { endpointCondition } from '../plan-text.ts'
import { renderTree, type Branch } from '../tree.ts'
import { fateText, isProxied, percent, type Comparison } from './compare.ts'
import { commonLength, decidingPath } from './path.ts'
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
  const lines: Branch[] = expected.steps.map(stepBranch)
  lines.push({
    label: 'plan',
    text: outcomeText(expected),
    children: actual === undefined || actual.walk.fates.some(isProxied) ? endpointLines(expected) : [],
  })
  if (actual === undefined) return [...lines, { label: 'kernel', text: 'not asked: offline' }]
  const { walk, steering, comparison, readMs } = actual
  lines.push(kernelBranch(walk, expected, wide))
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

/** The last line is the verdict; what the plan calls so is the traffic policy's. */
function stepBranch({ label, text }: ExplanationStep): Branch {
  return { label: label === 'verdict' ? 'policy' : label, text }
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
      const endpoints = count === 1 ? 'one endpoint' : `random over ${count}`
      // Behind the proxy an endpoint sees the node, whatever the kernel would have let it see.
      const source = outcome.steered ? `steered: sees the node · by the kernel: ${masquerade}` : masquerade
      return `forward · ${endpoints} · ${source}`
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
function kernelBranch(walk: Walk, expected: Explanation, wide: boolean): Branch {
  const paths = walk.fates.map(decidingPath)
  const shared = commonLength(paths)
  // With one fate everything is shared; the chain of its endpoint belongs to its own line.
  const ahead =
    walk.fates[1] === undefined && walk.fates[0] !== undefined && isBalanced(walk.fates[0])
      ? Math.max(0, shared - 2)
      : shared
  const start = paths[0]?.slice(0, ahead) ?? []
  return {
    label: 'kernel',
    text: pathText(paths[0]?.[0], start),
    children: walk.fates.map((fate, i) => fateBranch(fate, paths[i]?.slice(ahead) ?? [], expected, wide)),
  }
}

/** `iptables nat: PREROUTING → KUBE-SERVICES rule 4/9 → KUBE-SVC-…`. Only our own rules of built-in chains are counted. */
function pathText(first: Hop | undefined, hops: readonly Hop[]): string {
  if (first === undefined) return 'iptables: no rule of ours decides'
  const steps = hops.map((hop, i) => (i === 0 ? hop.leads : `rule ${hop.rule}/${hop.of} → ${hop.leads}`))
  return `iptables ${first.table}: ${[first.chain, ...steps].join(' → ').replaceAll(' → rule', ' rule')}`
}

function fateBranch(fate: Fate, own: readonly Hop[], expected: Explanation, wide: boolean): Branch {
  const isEndpoint = isBalanced(fate)
  const chain = isEndpoint
    ? (own.findLast((hop) => hop.leads.includes('-'))?.leads ?? own[0]?.chain ?? '')
    : ''
  const where = isEndpoint && fate.end === 'delivered' ? conditionOf(fate, expected) : ''
  const end = !isEndpoint || fate.end !== 'delivered' ? fateText(fate) : endpointText(fate)
  return {
    label: percent(fate.probability),
    text: `${chain === '' ? '' : `${chain} → `}${end}${where === '' ? '' : `   ${where}`}`,
    children: wide ? fate.hops.map(ruleBranch) : [],
  }
}

/** DNAT may also lead to the proxy, which is no endpoint. */
function isBalanced(fate: Fate): boolean {
  return fate.translated && !isProxied(fate)
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
