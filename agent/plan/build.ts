// Snapshot -> Plan. Built anew from nothing, or from the Plan before: then only the Services that changed, and those that
// share an address with them, are looked at, and every Service port whose content did not change stays the same object.
// Both ways give deep-equal Plans.

import { equal } from '../model/equal.ts'
import type { ServiceId, ServicePortKey } from '../model/ids.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { Service } from '../model/service.ts'
import { changedServices } from './changed-services.ts'
import { addClaim, conflictsOf, emptyClaims, removeClaim, winnerOf, type ClaimIndex } from './claims.ts'
import { nodeFacts, type NodeFacts } from './node-facts.ts'
import type { FamilyPlan, Plan, PlanOptions, ServicePortPlan } from './plan.ts'
import { claimsOf, portsByKey, servicePorts, type ByFamily, type Setting } from './service-ports.ts'
import type { Snapshot } from './snapshot.ts'
import { mergePorts, type PortChanges } from './merge-ports.ts'

/** The Plan before and the Snapshot that it was built from. */
export interface Previous {
  readonly snapshot: Snapshot
  readonly plan: Plan
}

/**
 * The claims that a Plan was built with, for the one that follows it. They are changed in place, so they are taken away
 * from the Plan that they came with; a second Plan built on the same one collects its own.
 */
const claimsOfPlan = new WeakMap<Plan, ByFamily<ClaimIndex>>()

/** Never throws, whatever the objects say; O(change) in decisions if `previous` is given and the node stayed the same. */
export function buildPlan(snapshot: Snapshot, options: PlanOptions, previous?: Previous): Plan {
  const families = FAMILIES.filter((family) => options.families.includes(family))
  const facts = byFamily(families, (family) => nodeFacts(family, snapshot, options))
  const continues = previous !== undefined && sameSetting(previous, snapshot, options, facts)
  const claims = continues ? takeClaims(previous) : byFamily(families, emptyClaims)
  const changed = continues
    ? changedServices(previous.snapshot, snapshot)
    : new Set<ServiceId>(snapshot.services.keys())
  const before = continues ? previous.snapshot.services : new Map<ServiceId, Service>()
  const affected = moveClaims(claims, changed, before, snapshot.services, options)

  const zone = snapshot.node?.zone ?? ''
  const setting: Setting = { options, zone, facts, claims, world: snapshot }
  const changes = byFamily(families, (): PortChanges => ({ set: new Map(), removed: new Set() }))
  for (const id of affected) {
    const old = before.get(id)
    if (old !== undefined)
      for (const key of portsByKey(old).keys())
        for (const family of families) changes[family]?.removed.add(key)
    const service = snapshot.services.get(id)
    if (service === undefined) continue
    const attached = {
      slices: snapshot.slices.get(id) ?? [],
      routes: snapshot.routes.get(id) ?? [],
      policies: snapshot.policies.get(id) ?? [],
    }
    for (const port of servicePorts(service, attached, setting)) {
      changes[port.family]?.removed.delete(port.key)
      changes[port.family]?.set.set(port.key, reuse(port, previous))
    }
  }

  const plan: Plan = {
    generation: snapshot.generation,
    options,
    families: byFamily(families, (family) =>
      familyPlan(
        facts[family] ?? nodeFacts(family, snapshot, options),
        continues ? previous.plan.families[family] : undefined,
        changes[family] ?? { set: new Map(), removed: new Set() },
        claims[family] ?? emptyClaims(),
      ),
    ),
  }
  claimsOfPlan.set(plan, claims)
  return plan
}

function byFamily<T>(families: readonly Family[], make: (family: Family) => T): ByFamily<T> {
  const record: Partial<Record<Family, T>> = {}
  for (const family of families) record[family] = make(family)
  return record
}

/** True if every Service that did not change itself would come out the same. */
function sameSetting(
  previous: Previous,
  snapshot: Snapshot,
  options: PlanOptions,
  facts: ByFamily<NodeFacts>,
): boolean {
  if (!equal(previous.plan.options, options)) return false
  if ((previous.snapshot.node?.zone ?? '') !== (snapshot.node?.zone ?? '')) return false
  return FAMILIES.every((family) => {
    const old = previous.plan.families[family]
    const now = facts[family]
    if (old === undefined || now === undefined) return old === now
    return equal(old.localDetector, now.localDetector) && equal(old.nodeAddresses, now.nodeAddresses)
  })
}

function takeClaims(previous: Previous): ByFamily<ClaimIndex> {
  const { plan, snapshot } = previous
  const kept = claimsOfPlan.get(plan)
  if (kept !== undefined) {
    claimsOfPlan.delete(plan)
    return kept
  }
  const families = FAMILIES.filter((family) => plan.families[family] !== undefined)
  const claims = byFamily(families, emptyClaims)
  moveClaims(claims, new Set(snapshot.services.keys()), new Map(), snapshot.services, plan.options)
  return claims
}

/** Brings the index from the old Services to the new ones; returns the changed Services and all that they touch. */
function moveClaims(
  claims: ByFamily<ClaimIndex>,
  changed: ReadonlySet<ServiceId>,
  before: ReadonlyMap<ServiceId, Service>,
  after: ReadonlyMap<ServiceId, Service>,
  options: PlanOptions,
): ReadonlySet<ServiceId> {
  const affected = new Set(changed)
  const touch = (service: ServiceId | undefined): void => {
    if (service !== undefined) affected.add(service)
  }
  for (const id of changed) {
    const old = before.get(id)
    const now = after.get(id)
    if (old === now) continue
    for (const family of FAMILIES) {
      const index = claims[family]
      if (index === undefined) continue
      const removed = old === undefined ? [] : claimsOf(old, family, options)
      const added = now === undefined ? [] : claimsOf(now, family, options)
      for (const claim of removed) touch(removeClaim(index, claim))
      for (const claim of added) touch(addClaim(index, claim))
      // Who has a NodePort in one family matters to who has it in the other (see nodePortSteerable).
      for (const { address, protocol } of [...removed, ...added])
        if (address.ip === undefined)
          for (const other of FAMILIES)
            if (claims[other] !== undefined) touch(winnerOf(claims[other], address, protocol)?.service)
    }
  }
  return affected
}

/** The object that the Plan before has for the same content (row 13). */
function reuse(port: ServicePortPlan, previous: Previous | undefined): ServicePortPlan {
  const old = previous?.plan.families[port.family]?.ports.get(port.key)
  return old !== undefined && equal(old, port) ? old : port
}

function familyPlan(
  facts: NodeFacts,
  old: FamilyPlan | undefined,
  changes: PortChanges,
  claims: ClaimIndex,
): FamilyPlan {
  const ports = mergePorts(old?.ports ?? new Map<ServicePortKey, ServicePortPlan>(), changes)
  const now = { ...facts, ports, conflicts: conflictsOf(claims) }
  if (old === undefined || old.ports !== ports) return now
  const { ports: _, ...rest } = now
  const { ports: __, ...oldRest } = old
  return equal(rest, oldRest) ? old : now
}
