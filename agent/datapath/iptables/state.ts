// What the iptables datapath renders and reads. A rendered family is the plan itself plus what all its rules share:
// the text of a chain is made when it is asked for, because the text of a hundred thousand chains would be most of the
// agent's memory. A read family is text.

import type { ServicePortKey } from '../../model/ids.ts'
import type { Family } from '../../model/ip.ts'
import type { ServicePortPlan } from '../../plan/plan.ts'
import type { Mechanism } from '../steer/steering.ts'
import { baseRules, type BaseRule } from './base-rules.ts'
import type { FamilyContext } from './context.ts'
import { fixedRules } from './fixed-rules.ts'
import { KUBE_SERVICES, type TableName } from './names.ts'
import { serviceChains } from './service-chains.ts'
import {
  NODEPORT_REFUSALS,
  SHARED_CHAINS,
  sharedLines,
  type SharedChain,
  type SharedLines,
  type SharedPart,
} from './shared-lines.ts'
import type { SteerSets } from './steer-sets.ts'

export interface IptablesState {
  readonly families: Readonly<Partial<Record<Family, FamilyRules>>>
  readonly sets: SteerSets
  readonly steering: SteeringState
}

/** What steering needs of the kernel, or has. */
export interface SteeringState {
  readonly mechanism: Mechanism
  /** Families with the route for the mark (sk_lookup). */
  readonly routed: readonly Family[]
}

export type FamilyRules = RenderedRules | ReadRules

export interface RenderedRules {
  readonly kind: 'rendered'
  readonly context: FamilyContext
  readonly ports: ReadonlyMap<ServicePortKey, ServicePortPlan>
  /** Lines of nat KUBE-SERVICES between those of the Services and the NodePorts; see nodeport-clashes.ts. */
  readonly clashes: string
}

/** `nat KUBE-SERVICES`. */
export type ChainKey = `${TableName} ${string}`

export interface ReadRules {
  readonly kind: 'read'
  /** Our chains; the value is the chain's lines, each with its end, or their digest (see parse.ts). */
  readonly chains: ReadonlyMap<ChainKey, string>
  /** Ours in chains of others, in their order, repetitions too. */
  readonly base: readonly BaseRule[]
  /** Chains of ours to which rules of others jump: they cannot be deleted. */
  readonly referenced?: ReadonlySet<ChainKey>
  /** Rules in KUBE-FIREWALL that are not ours; undefined: there is no such chain. */
  readonly foreignFirewallRules: number | undefined
}

export const NO_RULES: ReadRules = {
  kind: 'read',
  chains: new Map(),
  base: [],
  referenced: new Set(),
  foreignFirewallRules: undefined,
}

/** Chains of one table and, when asked for, their lines, each line with its end. */
export type ChainGroup = () => ReadonlyMap<ChainKey, string>

/** Every chain of the family, those of one Service port together. */
export function* chainGroups(rules: RenderedRules): Generator<ChainGroup> {
  for (const [key, lines] of fixedRules(rules.context).chains) yield () => new Map([[key, lines]])
  for (const shared of SHARED_CHAINS) yield () => new Map([[shared, sharedChain(rules, shared)]])
  for (const port of rules.ports.values()) yield () => portChains(port, rules.context)
}

/** The chains that belong to one Service port alone. */
export function portChains(
  port: ServicePortPlan | undefined,
  context: FamilyContext,
): ReadonlyMap<ChainKey, string> {
  const chains = new Map<ChainKey, string>()
  if (port !== undefined)
    for (const [chain, lines] of serviceChains(port, context)) chains.set(`nat ${chain}`, lines)
  return chains
}

/** Every chain of the family with its lines, or with their digest. */
export function* chainsOf(rules: FamilyRules): Generator<readonly [ChainKey, string]> {
  if (rules.kind === 'read') yield* rules.chains
  else for (const group of chainGroups(rules)) yield* group()
}

/** The whole text of a chain to which many Service ports add lines. */
export function sharedChain(rules: RenderedRules, shared: SharedChain): string {
  const { tails } = fixedRules(rules.context)
  const parts = [headOf(rules, shared)]
  for (const part of partsOf(shared))
    for (const port of rules.ports.values()) {
      const lines = cachedLines(port, rules.context)[part]
      if (lines !== undefined) parts.push(lines)
    }
  if (shared === `nat ${KUBE_SERVICES}`) parts.push(rules.clashes)
  parts.push(tails[shared] ?? '')
  return parts.join('')
}

/** The lines of a shared chain before those of the Services. */
export function headOf(rules: RenderedRules, shared: SharedChain): string {
  return fixedRules(rules.context).heads[shared] ?? ''
}

/** In the order in which the chain has them. */
export function partsOf(shared: SharedChain): readonly SharedPart[] {
  return NODEPORT_REFUSALS.startsWith(`${shared} `) ? [shared, NODEPORT_REFUSALS] : [shared]
}

export function baseOf(rules: FamilyRules): readonly BaseRule[] {
  return rules.kind === 'read' ? rules.base : baseRules(rules.context)
}

const lineCache = new WeakMap<
  ServicePortPlan,
  { readonly context: FamilyContext; readonly lines: SharedLines }
>()

/** A changed Service must not cost the lines of ten thousand others. */
export function cachedLines(port: ServicePortPlan, context: FamilyContext): SharedLines {
  const cached = lineCache.get(port)
  if (cached?.context === context) return cached.lines
  const lines: Partial<Record<SharedPart, string>> = {}
  for (const [part, text] of Object.entries(sharedLines(port, context)))
    lines[part as SharedPart] = flat(text)
  lineCache.set(port, { context, lines })
  return lines
}

/** A string put together of many keeps them all, at many times its size, and is taken apart at every join. */
function flat(text: string): string {
  return Buffer.from(text).toString()
}

/** A text that is equal for equal states, for comparing and for people. */
export function stateText(state: IptablesState): string {
  const parts: string[] = []
  for (const [family, rules] of Object.entries(state.families)) {
    const chains = [...chainsOf(rules)].map(([key, lines]) => `[${key}]\n${lines}`).sort()
    const base = baseOf(rules).map(({ table, chain, spec }) => `${table} ${chain} ${spec}\n`)
    if (chains.length + base.length > 0)
      parts.push(`# ${family}\n`, ...chains, '[in chains of others]\n', ...base.sort())
  }
  for (const [name, members] of [...state.sets.members].sort(([a], [b]) => (a < b ? -1 : 1)))
    parts.push(`[set ${name}]\n`, ...[...members].sort().map((member) => `${member}\n`))
  return parts.join('')
}
