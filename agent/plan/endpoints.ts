// Which endpoints a Service port may use on this node: slices merged (rows 4 to 11), then the cluster set (rows 32, 41,
// 42) and the local set (rows 33, 43), each with its own fallback to terminating endpoints.

import type { Endpoint, EndpointSlice } from '../model/endpoint.ts'
import { hostPort, type Family } from '../model/ip.ts'
import { weightOf, type WeightRule } from '../model/policy.ts'
import type { Port, Protocol } from '../model/port.ts'
import { availableByHints } from './hints.ts'
import type { PlanEndpoint } from './plan.ts'

export interface EndpointPools {
  readonly cluster: readonly PlanEndpoint[]
  readonly local: readonly PlanEndpoint[]
  /** Some endpoint anywhere can be used: tells drop from reject (rows 54, 55). */
  readonly hasEndpoints: boolean
}

/** Where this node stands in the cluster. */
export interface Place {
  readonly nodeName: string
  /** '': no zone (row 45). */
  readonly zone: string
}

export interface MergedEndpoint {
  /** `ip:port`, the identity of an endpoint within a Service port (row 10). */
  readonly key: string
  readonly port: Port
  readonly endpoint: Endpoint
}

/**
 * The two pools of one Service port, from the endpoints of {@link mergeSlices}. An endpoint that is not serving is
 * never in either (row 34). The fallback to terminating endpoints is computed once for each pool, independently: the
 * local pool may use one while a ready endpoint elsewhere keeps the cluster pool from it (trap 5).
 */
export function endpointPools(
  merged: readonly MergedEndpoint[],
  place: Place,
  weights: readonly WeightRule[] = [],
): EndpointPools {
  const ready = merged.filter(({ endpoint }) => endpoint.ready)
  // A record that is ready and terminating at once (publishNotReadyAddresses) counts as ready.
  const terminating = merged.filter(({ endpoint: e }) => !e.ready && e.serving && e.terminating)
  const made = new Map<MergedEndpoint, PlanEndpoint>()
  const plan = (chosen: readonly MergedEndpoint[]): PlanEndpoint[] =>
    chosen.map((from) => {
      const known = made.get(from) ?? planEndpoint(from, place, weights)
      made.set(from, known)
      return known
    })
  const here = ({ endpoint }: MergedEndpoint): boolean => isLocal(endpoint, place)
  const localReady = ready.filter(here)
  return {
    cluster: plan(ready.length > 0 ? availableByHints(ready, place) : terminating),
    local: plan(localReady.length > 0 ? localReady : terminating.filter(here)),
    hasEndpoints: ready.length > 0 || terminating.length > 0,
  }
}

/**
 * The endpoints of one Service port over all its slices, one for each `ip:port`, sorted by that text (row 10). The port
 * comes from the slice port of the same name and protocol (row 7), so one address may give several endpoints. Neither
 * the order of slices nor that of endpoints matters.
 */
export function mergeSlices(
  slices: readonly EndpointSlice[],
  family: Family,
  portName: string,
  protocol: Protocol,
): MergedEndpoint[] {
  const byKey = new Map<string, MergedEndpoint>()
  for (const slice of slices) {
    if (slice.family !== family) continue
    for (const port of slice.ports) {
      if (port.name !== portName || port.protocol !== protocol) continue
      for (const endpoint of slice.endpoints) {
        const key = hostPort(endpoint.ip, port.port)
        const known = byKey.get(key)
        if (known === undefined || isBetter(endpoint, known.endpoint))
          byKey.set(key, { key, port: port.port, endpoint })
      }
    }
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/**
 * Which of two records of the same `ip:port` stands (row 11): one that is not terminating beats one that is, so a
 * reused Pod address works while the old record lingers. kube-proxy leaves the rest to the order of arrival; we take
 * the record that gives more service, then the smaller text, so that the order never shows.
 */
function isBetter(a: Endpoint, b: Endpoint): boolean {
  if (a.terminating !== b.terminating) return !a.terminating
  if (a.ready !== b.ready) return a.ready
  if (a.serving !== b.serving) return a.serving
  return placeText(a) < placeText(b)
}

function placeText(e: Endpoint): string {
  // An endpoint that names no node is the less useful record: '~' sorts behind every node name.
  return [e.nodeName || '~', e.zone, e.nodeHints.join(), e.zoneHints.join()].join('|')
}

function isLocal(endpoint: Endpoint, place: Place): boolean {
  return endpoint.nodeName !== '' && endpoint.nodeName === place.nodeName
}

function planEndpoint(
  { endpoint, port }: MergedEndpoint,
  place: Place,
  weights: readonly WeightRule[],
): PlanEndpoint {
  const weight = weightOf(weights, endpoint)
  return {
    ip: endpoint.ip,
    port,
    local: isLocal(endpoint, place),
    state: endpoint.ready ? 'ready' : 'terminating',
    nodeName: endpoint.nodeName,
    zone: endpoint.zone,
    ...(weight === 1 ? {} : { weight }),
  }
}
