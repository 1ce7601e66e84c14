// The plan's whole input at one moment. Values are replaced, never mutated: an unchanged Service or slice list is the
// same object in the next Snapshot, which is how buildPlan finds what it can keep.

import type { Cidr } from '../model/cidr.ts'
import type { EndpointSlice } from '../model/endpoint.ts'
import type { ServiceId } from '../model/ids.ts'
import type { Node } from '../model/node.ts'
import type { PolicyAttachment } from '../model/policy.ts'
import type { ReferenceGrant, RouteAttachment } from '../model/route.ts'
import type { Service } from '../model/service.ts'

export interface Snapshot {
  /** Grows by one with every change of the content. */
  readonly generation: number
  readonly services: ReadonlyMap<ServiceId, Service>
  /** Slices by the Service that they belong to; a Service without slices has no entry. */
  readonly slices: ReadonlyMap<ServiceId, readonly EndpointSlice[]>
  /** undefined: the Node object has not been seen (row 83). */
  readonly node: Node | undefined
  readonly serviceCidrs: readonly Cidr[]
  readonly routes: ReadonlyMap<ServiceId, readonly RouteAttachment[]>
  /** TrafficPolicies by the Service that they select. */
  readonly policies: ReadonlyMap<ServiceId, readonly PolicyAttachment[]>
  readonly grants: readonly ReferenceGrant[]
}

export const EMPTY_SNAPSHOT: Snapshot = {
  generation: 0,
  services: new Map(),
  slices: new Map(),
  node: undefined,
  serviceCidrs: [],
  routes: new Map(),
  policies: new Map(),
  grants: [],
}
