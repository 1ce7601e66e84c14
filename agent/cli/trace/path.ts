// The chains that led to what became of a packet, without the detours: of all rules that matched, those that jumped
// towards the one that decided.

import type { Fate, Hop } from '../../datapath/iptables/walk.ts'
import { isProxied } from './compare.ts'

/** From the built-in chain to the deciding rule; empty if no rule decided. */
export function decidingPath(fate: Fate): readonly Hop[] {
  const at = decidingIndex(fate)
  const last = fate.hops[at]
  if (last === undefined) return []
  const path = [last]
  let chain = last.chain
  for (let i = at - 1; i >= 0; i--) {
    const hop = fate.hops[i]
    if (hop === undefined || hop.table !== last.table) break
    if (hop.leads !== chain) continue
    path.unshift(hop)
    chain = hop.chain
  }
  return path
}

/** How many hops at the start all paths have in common. */
export function commonLength(paths: readonly (readonly Hop[])[]): number {
  const [first = [], ...others] = paths
  const differs = first.findIndex((hop, i) => others.some((path) => !sameRule(path[i], hop)))
  return differs === -1 ? first.length : differs
}

function decidingIndex(fate: Fate): number {
  if (fate.end !== 'delivered') return fate.hops.length - 1
  if (isProxied(fate)) return fate.hops.findLastIndex((hop) => hop.table === 'mangle' && hop.leads === 'MARK')
  return fate.hops.findLastIndex((hop) => hop.table === 'nat' && hop.leads === 'DNAT')
}

function sameRule(a: Hop | undefined, b: Hop): boolean {
  return a?.table === b.table && a.chain === b.chain && a.rule === b.rule
}
