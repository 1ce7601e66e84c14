// Which Services differ between two Snapshots, by identity: values are replaced, never mutated.

import type { ServiceId } from '../model/ids.ts'
import type { Snapshot } from './snapshot.ts'

/** Services that were added, removed or replaced, or whose slices or routes were. */
export function changedServices(from: Snapshot, to: Snapshot): Set<ServiceId> {
  const changed = new Set<ServiceId>()
  collect(from.services, to.services, changed)
  collect(from.slices, to.slices, changed)
  collect(from.routes, to.routes, changed)
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
