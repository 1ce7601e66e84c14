// EndpointSlices as the data plane sees them. One slice stays one value, so that an endpoint that moves between
// slices is never lost in between; the plan merges (rows 4 to 11).

import type { Family, Ip } from './ip.ts'
import type { ServiceId } from './ids.ts'
import type { Port, Protocol } from './port.ts'

export interface EndpointSlice {
  /** `namespace/name` of the slice itself. */
  readonly id: string
  /** From the label `kubernetes.io/service-name`. */
  readonly service: ServiceId
  readonly family: Family
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
  /** Annotation `endpoints.kubernetes.io/last-change-trigger-time`, ms since 1970; undefined: not given. */
  readonly changedAtMs?: number
}

/** A port without a number is dropped by the decoder (row 7); the unnamed port's name is ''. */
export interface EndpointPort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: Port
  readonly appProtocol?: string
}

export interface Endpoint {
  /** The first address of the API's list; the others are never used (row 8). */
  readonly ip: Ip
  /** '' when the slice does not say. */
  readonly nodeName: string
  /** Unset conditions are already resolved: ready and serving true, terminating false (row 9). */
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly zone: string
  readonly zoneHints: readonly string[]
  readonly nodeHints: readonly string[]
}
