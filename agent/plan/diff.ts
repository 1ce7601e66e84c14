// What changed from one Plan to another, as a value that names each change and patches one Plan into the other.

import { equal } from '../model/equal.ts'
import type { ServicePortKey } from '../model/ids.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import { mergePorts } from './merge-ports.ts'
import type { NodeFacts } from './node-facts.ts'
import type { FamilyPlan, FrontendConflict, Plan, PlanOptions, ServicePortPlan } from './plan.ts'

export interface PlanDelta {
  readonly from: number
  readonly to: number
  /** Only if they differ. */
  readonly options?: PlanOptions
  /** Only families in which something differs; null: the family is gone. */
  readonly families: Readonly<Partial<Record<Family, FamilyDelta | null>>>
}

export interface FamilyDelta {
  /** All of a family's facts, only if one of them differs. */
  readonly facts?: NodeFacts
  readonly conflicts?: readonly FrontendConflict[]
  /** In key order. */
  readonly ports: readonly PortChange[]
}

export type PortChange =
  | { readonly kind: 'added'; readonly key: ServicePortKey; readonly after: ServicePortPlan }
  | { readonly kind: 'removed'; readonly key: ServicePortKey; readonly before: ServicePortPlan }
  | {
      readonly kind: 'changed'
      readonly key: ServicePortKey
      readonly before: ServicePortPlan
      readonly after: ServicePortPlan
      /** The fields that differ, in the order of ServicePortPlan. */
      readonly what: readonly (keyof ServicePortPlan)[]
    }

/** Service ports that are the same object in both are not looked into. */
export function diffPlan(from: Plan, to: Plan): PlanDelta {
  const families: Partial<Record<Family, FamilyDelta | null>> = {}
  for (const family of FAMILIES) {
    const delta = diffFamily(from.families[family], to.families[family])
    if (delta !== undefined) families[family] = delta
  }
  return {
    from: from.generation,
    to: to.generation,
    ...(equal(from.options, to.options) ? {} : { options: to.options }),
    families,
  }
}

/** True if the Plans mean the same, whatever their generations. */
export function isEmptyDelta(delta: PlanDelta): boolean {
  return delta.options === undefined && Object.keys(delta.families).length === 0
}

/** `patchPlan(from, diffPlan(from, to))` equals `to`. */
export function patchPlan(from: Plan, delta: PlanDelta): Plan {
  const families: Partial<Record<Family, FamilyPlan>> = {}
  for (const family of FAMILIES) {
    const old = from.families[family]
    const change = delta.families[family]
    if (change === null) continue
    const patched = change === undefined ? old : patchFamily(old, change)
    if (patched !== undefined) families[family] = patched
  }
  return { generation: delta.to, options: delta.options ?? from.options, families }
}

function diffFamily(
  from: FamilyPlan | undefined,
  to: FamilyPlan | undefined,
): FamilyDelta | null | undefined {
  if (from === to) return undefined
  if (to === undefined) return null
  const facts = factsOf(to)
  const sameFacts = from !== undefined && equal(factsOf(from), facts)
  const sameConflicts = equal(from?.conflicts ?? [], to.conflicts)
  const ports = diffPorts(from?.ports ?? new Map<ServicePortKey, ServicePortPlan>(), to.ports)
  if (sameFacts && sameConflicts && ports.length === 0) return undefined
  return { ...(sameFacts ? {} : { facts }), ...(sameConflicts ? {} : { conflicts: to.conflicts }), ports }
}

function factsOf({ ports: _ports, conflicts: _conflicts, ...facts }: FamilyPlan): NodeFacts {
  return facts
}

function diffPorts(from: FamilyPlan['ports'], to: FamilyPlan['ports']): PortChange[] {
  if (from === to) return []
  const changes: PortChange[] = []
  for (const [key, after] of to) {
    const before = from.get(key)
    if (before === undefined) changes.push({ kind: 'added', key, after })
    else if (before !== after) {
      const what = changedFields(before, after)
      if (what.length > 0) changes.push({ kind: 'changed', key, before, after, what })
    }
  }
  for (const [key, before] of from) if (!to.has(key)) changes.push({ kind: 'removed', key, before })
  return changes.sort((a, b) => (a.key < b.key ? -1 : 1))
}

function changedFields(before: ServicePortPlan, after: ServicePortPlan): (keyof ServicePortPlan)[] {
  const fields = Object.keys(after) as (keyof ServicePortPlan)[]
  return fields.filter((field) => !equal(before[field], after[field]))
}

function patchFamily(old: FamilyPlan | undefined, delta: FamilyDelta): FamilyPlan | undefined {
  const facts = delta.facts ?? old
  // A family that is new brings its facts, or the delta is not one of diffPlan's.
  if (facts === undefined) return undefined
  const set = new Map<ServicePortKey, ServicePortPlan>()
  const removed = new Set<ServicePortKey>()
  for (const change of delta.ports) {
    if (change.kind === 'removed') removed.add(change.key)
    else set.set(change.key, change.after)
  }
  const ports = mergePorts(old?.ports ?? new Map<ServicePortKey, ServicePortPlan>(), { set, removed })
  return { ...facts, ports, conflicts: delta.conflicts ?? old?.conflicts ?? [] }
}
