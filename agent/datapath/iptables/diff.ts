// What turns the rules of one family into others. Chains are replaced whole, and only those whose content differs.

import type { Family } from '../../model/ip.ts'
import { isOurBaseRule, MARTIAN_GUARD, type BaseRule } from './base-rules.ts'
import { KUBE_FIREWALL, KUBE_SERVICES } from './names.ts'
import { serviceChains } from './service-chains.ts'
import { SHARED_CHAINS, type SharedChain, type SharedLines } from './shared-lines.ts'
import {
  baseOf,
  cachedLines,
  chainsOf,
  partsOf,
  sharedChain,
  type ChainKey,
  type FamilyRules,
  type ReadRules,
  type RenderedRules,
} from './state.ts'

export interface FamilyChange {
  readonly family: Family
  /** Chains to make or empty, and then to fill. */
  readonly refill: ReadonlyMap<ChainKey, string>
  /** Chains to empty and delete. */
  readonly drop: readonly ChainKey[]
  /** At the top of their chains, in this order from top to bottom. */
  readonly insert: readonly BaseRule[]
  readonly remove: readonly BaseRule[]
}

export function changeSize({ refill, drop, insert, remove }: FamilyChange): number {
  return refill.size + drop.length + insert.length + remove.length
}

/** The changes of a rendered family whose context stayed: only Service ports that are other objects are looked at. */
export function diffPorts(family: Family, live: RenderedRules, want: RenderedRules): FamilyChange {
  const refill = new Map<ChainKey, string>()
  const drop: ChainKey[] = []
  const dirty = new Set<SharedChain>()
  const touch = (key: Parameters<typeof want.ports.get>[0]): void => {
    const [before, after] = [live.ports.get(key), want.ports.get(key)]
    if (before === after) return
    const old = before === undefined ? new Map<string, string>() : serviceChains(before, live.context)
    const now = after === undefined ? new Map<string, string>() : serviceChains(after, want.context)
    for (const [chain, lines] of now) if (old.get(chain) !== lines) refill.set(`nat ${chain}`, lines)
    for (const chain of old.keys()) if (!now.has(chain)) drop.push(`nat ${chain}`)
    const oldLines: SharedLines = before === undefined ? {} : cachedLines(before, live.context)
    const newLines: SharedLines = after === undefined ? {} : cachedLines(after, want.context)
    for (const shared of SHARED_CHAINS)
      if (partsOf(shared).some((part) => oldLines[part] !== newLines[part])) dirty.add(shared)
  }
  for (const key of want.ports.keys()) touch(key)
  for (const key of live.ports.keys()) if (!want.ports.has(key)) touch(key)
  if (live.clashes !== want.clashes) dirty.add(`nat ${KUBE_SERVICES}`)
  for (const shared of SHARED_CHAINS) if (dirty.has(shared)) refill.set(shared, sharedChain(want, shared))
  return { family, refill, drop, insert: [], remove: [] }
}

/** The changes from what was read to anything; `want` undefined: nothing of ours shall be left. */
export function diffRead(family: Family, live: ReadRules, want: FamilyRules | undefined): FamilyChange {
  const refill = new Map<ChainKey, string>()
  const wanted = new Set<ChainKey>()
  if (want !== undefined)
    for (const [key, lines] of chainsOf(want)) {
      wanted.add(key)
      if (live.chains.get(key) !== lines) refill.set(key, lines)
    }
  const drop = [...live.chains.keys()].filter((key) => !wanted.has(key))
  const base = diffBase(live, want === undefined ? [] : baseOf(want))
  const firewall: ChainKey = `filter ${KUBE_FIREWALL}`
  // Declaring a chain empties it, so the shared one is declared only when it is not there.
  if (base.needsFirewall && live.foreignFirewallRules === undefined) refill.set(firewall, '')
  if (base.leavesFirewallEmpty) drop.push(firewall)
  return { family, refill, drop, insert: base.insert, remove: base.remove }
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
