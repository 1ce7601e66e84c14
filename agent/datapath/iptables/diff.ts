// What turns the rules of one family into others. Chains are replaced whole, and only those whose content differs.

import type { ServicePortKey } from '../../model/ids.ts'
import type { Family } from '../../model/ip.ts'
import type { ServicePortPlan } from '../../plan/plan.ts'
import { isOurBaseRule, MARTIAN_GUARD, type BaseRule } from './base-rules.ts'
import { editOf, type ChainEdit } from './chain-edit.ts'
import { sameLines } from './digest.ts'
import { KUBE_FIREWALL, KUBE_SERVICES } from './names.ts'
import { SHARED_CHAINS, type SharedChain, type SharedLines } from './shared-lines.ts'
import {
  baseOf,
  cachedLines,
  chainGroups,
  partsOf,
  portChains,
  sharedChain,
  type ChainGroup,
  type ChainKey,
  type FamilyRules,
  type ReadRules,
  type RenderedRules,
} from './state.ts'

export interface FamilyChange {
  readonly family: Family
  readonly refill: readonly Refill[]
  /** Chains of which a few lines change. */
  readonly edits: readonly ChainEdit[]
  /** Chains to empty and delete. */
  readonly drop: readonly ChainKey[]
  /** At the top of their chains, in this order from top to bottom. */
  readonly insert: readonly BaseRule[]
  readonly remove: readonly BaseRule[]
}

/** Chains of one table to make or empty, and then to fill. */
export interface Refill {
  readonly keys: readonly ChainKey[]
  /** Their rules, made when asked for: all of ten thousand Services at once would be 50 MB. */
  readonly lines: () => string
}

export function changeSize({ refill, edits, drop, insert, remove }: FamilyChange): number {
  const chains = refill.reduce((sum, { keys }) => sum + keys.length, 0)
  return chains + edits.length + drop.length + insert.length + remove.length
}

/** The changes of a rendered family whose context stayed: only Service ports that are other objects are looked at. */
export function diffPorts(family: Family, live: RenderedRules, want: RenderedRules): FamilyChange {
  const refill: Refill[] = []
  const drop: ChainKey[] = []
  const dirty = new Set<SharedChain>()
  const changed: Map<
    ServicePortKey,
    { before: ServicePortPlan | undefined; after: ServicePortPlan | undefined }
  > = new Map()
  const touch = (before: ServicePortPlan | undefined, after: ServicePortPlan | undefined): void => {
    const old = portChains(before, live.context)
    const group: ChainGroup = () => portChains(after, want.context)
    const now = group()
    pushRefill(refill, group, now, (key) => old.get(key))
    for (const key of old.keys()) if (!now.has(key)) drop.push(key)
    const oldLines: SharedLines = before === undefined ? {} : cachedLines(before, live.context)
    const newLines: SharedLines = after === undefined ? {} : cachedLines(after, want.context)
    for (const shared of SHARED_CHAINS)
      if (partsOf(shared).some((part) => oldLines[part] !== newLines[part])) dirty.add(shared)
  }
  for (const [key, after] of want.ports) {
    const before = live.ports.get(key)
    if (before !== after) changed.set(key, { before, after })
  }
  for (const [key, before] of live.ports)
    if (!want.ports.has(key)) changed.set(key, { before, after: undefined })
  for (const { before, after } of changed.values()) touch(before, after)
  if (live.clashes !== want.clashes) dirty.add(`nat ${KUBE_SERVICES}`)
  const edits: ChainEdit[] = []
  for (const shared of dirty) {
    const edit = editOf(shared, live, want, changed)
    if (edit !== undefined) edits.push(edit)
    // One port may have got the very line that another lost.
    else if (!sameLines(sharedChain(live, shared), sharedChain(want, shared)))
      refill.push({ keys: [shared], lines: () => sharedChain(want, shared) })
  }
  return { family, refill, edits, drop, insert: [], remove: [] }
}

/** The changes from what was read to what is wanted; `want` undefined: nothing of ours shall be left. */
export function diffRead(family: Family, live: ReadRules, want: FamilyRules | undefined): FamilyChange {
  const refill: Refill[] = []
  const stale = new Set(live.chains.keys())
  for (const group of want === undefined ? [] : groupsOf(want)) {
    const now = group()
    for (const key of now.keys()) stale.delete(key)
    pushRefill(refill, group, now, (key) => live.chains.get(key))
  }
  const isReferenced = (key: ChainKey): boolean => live.referenced?.has(key) === true
  const drop = [...stale].filter((key) => !isReferenced(key))
  // A chain to which rules of others jump must stay; empty, it does nothing.
  for (const key of stale)
    if (isReferenced(key) && live.chains.get(key) !== '') refill.push({ keys: [key], lines: () => '' })
  const base = diffBase(live, want === undefined ? [] : baseOf(want))
  const firewall: ChainKey = `filter ${KUBE_FIREWALL}`
  // Declaring a chain empties it, so the shared one is declared only when it is not there.
  if (base.needsFirewall && live.foreignFirewallRules === undefined)
    refill.push({ keys: [firewall], lines: () => '' })
  if (base.leavesFirewallEmpty) drop.push(firewall)
  return { family, refill, edits: [], drop, insert: base.insert, remove: base.remove }
}

function groupsOf(rules: FamilyRules): Iterable<ChainGroup> {
  if (rules.kind === 'rendered') return chainGroups(rules)
  return [...rules.chains].map(
    ([key, lines]) =>
      () =>
        new Map([[key, lines]]),
  )
}

function pushRefill(
  refill: Refill[],
  group: ChainGroup,
  now: ReadonlyMap<ChainKey, string>,
  liveLines: (key: ChainKey) => string | undefined,
): void {
  const keys: ChainKey[] = []
  for (const [key, lines] of now) if (!sameLines(liveLines(key), lines)) keys.push(key)
  if (keys.length === 0) return
  refill.push({
    keys,
    lines: () => {
      const again = group()
      return keys.map((key) => again.get(key) ?? '').join('')
    },
  })
}

interface BaseChange {
  readonly insert: readonly BaseRule[]
  readonly remove: readonly BaseRule[]
  readonly needsFirewall: boolean
  readonly leavesFirewallEmpty: boolean
}

function diffBase(live: ReadRules, want: readonly BaseRule[]): BaseChange {
  const missing = new Map(want.map((rule) => [keyOf(rule), rule]))
  const remove: BaseRule[] = []
  /** To KUBE-FIREWALL; not wanted, but perhaps kubelet's. */
  const jumps: BaseRule[] = []
  for (const rule of live.base) {
    // Present, and once: a second one of the same is too many.
    if (missing.delete(keyOf(rule))) continue
    if (isOurBaseRule(rule)) remove.push(rule)
    else if (!want.some((other) => keyOf(other) === keyOf(rule))) jumps.push(rule)
  }
  const needsFirewall = want.some(({ spec }) => spec === MARTIAN_GUARD)
  // Only rules of ours were in it: with them go the chain and the jumps to it, otherwise it is kubelet's.
  const wasOurs = live.base.some(({ spec }) => spec === MARTIAN_GUARD) && live.foreignFirewallRules === 0
  const leavesFirewallEmpty = !needsFirewall && wasOurs
  if (!leavesFirewallEmpty)
    return { insert: [...missing.values()], remove, needsFirewall, leavesFirewallEmpty }
  // Its own rules go with it: what is dropped is emptied first.
  const unhook = [...remove, ...jumps].filter(({ chain }) => chain !== KUBE_FIREWALL)
  return { insert: [...missing.values()], remove: unhook, needsFirewall, leavesFirewallEmpty }
}

function keyOf({ table, chain, spec }: BaseRule): string {
  return `${table} ${chain} ${spec}`
}
