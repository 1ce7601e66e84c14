// One decoded object of the cluster, as sources hand it to the store.

import type { Cidr } from '../model/cidr.ts'
import type { EndpointSlice } from '../model/endpoint.ts'
import type { Node } from '../model/node.ts'
import type { PolicyAttachment } from '../model/policy.ts'
import type { ReferenceGrant, RouteAttachment } from '../model/route.ts'
import type { Service } from '../model/service.ts'

export type ClusterObject =
  | { readonly kind: 'Service'; readonly id: string; readonly value: Service }
  | { readonly kind: 'EndpointSlice'; readonly id: string; readonly value: EndpointSlice }
  /** Mirrored; in force only while the Service has no EndpointSlice of its own. */
  | { readonly kind: 'Endpoints'; readonly id: string; readonly value: readonly EndpointSlice[] }
  | { readonly kind: 'Node'; readonly id: string; readonly value: Node }
  | { readonly kind: 'ServiceCIDR'; readonly id: string; readonly value: readonly Cidr[] }
  | { readonly kind: 'TrafficPolicy'; readonly id: string; readonly value: readonly PolicyAttachment[] }
  | { readonly kind: 'ReferenceGrant'; readonly id: string; readonly value: readonly ReferenceGrant[] }
  | {
      readonly kind: RouteAttachment['kind']
      readonly id: string
      readonly value: readonly RouteAttachment[]
    }

export type ClusterKind = ClusterObject['kind']

/** `Service default/web`: unique over all kinds, and what people read. */
export function objectKey(kind: string, id: string): string {
  return `${kind} ${id}`
}
