// Plan and Snapshot as plain JSON: maps become lists, in the same order. The shape of `shunt plan -o json`.

import type { Plan } from '../plan/plan.ts'
import type { Snapshot } from '../plan/snapshot.ts'

export function planJson(plan: Plan): unknown {
  const families = Object.fromEntries(
    Object.values(plan.families).map((family) => [
      family.family,
      { ...family, ports: [...family.ports.values()] },
    ]),
  )
  return { ...plan, families }
}

export function snapshotJson(snapshot: Snapshot): unknown {
  return {
    generation: snapshot.generation,
    node: snapshot.node ?? null,
    serviceCidrs: snapshot.serviceCidrs,
    services: [...snapshot.services.values()],
    slices: [...snapshot.slices.values()].flat(),
    routes: [...snapshot.routes.values()].flat(),
    policies: [...snapshot.policies.values()].flat(),
    grants: snapshot.grants,
  }
}
