// Which Services differ between two Snapshots, by identity: values are replaced, never mutated.

import type { ServiceId } from '../model/ids.ts'
import type { Snapshot } from './snapshot.ts'
import { parentsByBackend } from './tls-routes.ts'

/**
 * Services that were added, removed or replaced, or whose slices, routes or policies were, and those with a TLSRoute to
 * one that was: whether a backend is valid depends on it.
 */
export function changedServices(from: Snapshot, to: Snapshot): Set<ServiceId> {
  const changed = new Set<ServiceId>()
  collect(from.services, to.services, changed)
  collect(from.slices, to.slices, changed)
  collect(from.routes, to.routes, changed)
  collect(from.policies, to.policies, changed)
  const parents = parentsByBackend(to.routes)
  const everyBackend = from.grants !== to.grants
  for (const backend of everyBackend ? parents.keys() : [...changed])
    for (const parent of parents.get(backend) ?? []) changed.add(parent)
  return changed
}

function collect<V>(
  from: ReadonlyMap<ServiceId, V>,
  to: ReadonlyMap<ServiceId, V>,
  changed: Set<ServiceId>,
): void {
  if (from === to) return
  let kept = 0
  for (const [id, value] of to) {
    const old = from.get(id)
    if (old !== value) changed.add(id)
    if (old !== undefined) kept++
  }
  if (kept === from.size) return
  for (const id of from.keys()) if (!to.has(id)) changed.add(id)
}
