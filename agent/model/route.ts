// Which Service ports an L7 object selects. The rules inside the object are the proxy's business.

import type { ServiceId } from './ids.ts'
import type { Port } from './port.ts'

/** A Gateway API route with a Service as parent (GAMMA). */
export interface RouteAttachment {
  readonly kind: 'HTTPRoute' | 'GRPCRoute' | 'TCPRoute' | 'TLSRoute'
  /** `namespace/name` of the route. */
  readonly id: string
  readonly service: ServiceId
  /** undefined: every port of the Service. */
  readonly port?: Port
}
