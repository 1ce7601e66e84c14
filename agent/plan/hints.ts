// Topology hints (rows 41 to 44): which of the ready endpoints the control plane meant for this node. Only hints are
// read, never the Service's trafficDistribution, which the control plane has already turned into hints.

import type { MergedEndpoint, Place } from './endpoints.ts'

/**
 * The ready endpoints that hints leave over: by node, else by zone, else all. A kind of hint counts only if every ready
 * endpoint carries at least one and some endpoint names this node (or its zone): one endpoint without a hint turns them
 * off, and a place that nobody names uses all rather than none (trap 7).
 */
export function availableByHints(ready: readonly MergedEndpoint[], place: Place): readonly MergedEndpoint[] {
  return (
    hinted(ready, place.nodeName, ({ endpoint }) => endpoint.nodeHints) ??
    hinted(ready, place.zone, ({ endpoint }) => endpoint.zoneHints) ??
    ready
  )
}

function hinted(
  ready: readonly MergedEndpoint[],
  here: string,
  hintsOf: (endpoint: MergedEndpoint) => readonly string[],
): readonly MergedEndpoint[] | undefined {
  if (here === '' || ready.some((endpoint) => hintsOf(endpoint).length === 0)) return undefined
  const meant = ready.filter((endpoint) => hintsOf(endpoint).includes(here))
  return meant.length > 0 ? meant : undefined
}
