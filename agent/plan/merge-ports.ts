// A map of Service ports with changes applied, in key order again.

import type { ServicePortKey } from '../model/ids.ts'
import type { ServicePortPlan } from './plan.ts'

type Ports = ReadonlyMap<ServicePortKey, ServicePortPlan>

export interface PortChanges {
  readonly set: Map<ServicePortKey, ServicePortPlan>
  readonly removed: Set<ServicePortKey>
}

/** `old` must be in key order. Returns `old` itself if nothing differs. */
export function mergePorts(old: Ports, { set, removed }: PortChanges): Ports {
  const gone = [...removed].some((key) => old.has(key) && !set.has(key))
  const added = [...set.keys()].filter((key) => !old.has(key)).sort()
  if (!gone && added.length === 0) {
    const replaced = [...set].filter(([key, port]) => old.get(key) !== port)
    if (replaced.length === 0) return old
    // Setting an existing key keeps its place.
    const ports = new Map(old)
    for (const [key, port] of replaced) ports.set(key, port)
    return ports
  }
  const ports = new Map<ServicePortKey, ServicePortPlan>()
  let next = 0
  const take = (limit: ServicePortKey | undefined): void => {
    for (; next < added.length; next++) {
      const key = added[next]
      if (key === undefined || (limit !== undefined && key > limit)) return
      const port = set.get(key)
      if (port !== undefined) ports.set(key, port)
    }
  }
  for (const [key, port] of old) {
    take(key)
    const replacement = set.get(key)
    if (replacement !== undefined) ports.set(key, replacement)
    else if (!removed.has(key)) ports.set(key, port)
  }
  take(undefined)
  return ports
}
