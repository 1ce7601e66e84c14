// A Service as the data plane sees it: decoded, validated, free of API detail. The plan decides what it means.

import type { Cidr } from './cidr.ts'
import type { Ip } from './ip.ts'
import type { ServiceId } from './ids.ts'
import type { Port, Protocol } from './port.ts'

export interface Service {
  readonly id: ServiceId
  readonly namespace: string
  readonly name: string
  readonly type: ServiceType
  /** `clusterIP: None`, or no ClusterIP at all: never proxied (rows 1, 2). */
  readonly headless: boolean
  /** The label `service.kubernetes.io/service-proxy-name` is set: another proxy owns this Service (row 1). */
  readonly foreignProxy: boolean
  /** At most one of each family, in the Service's own order. */
  readonly clusterIps: readonly Ip[]
  readonly ports: readonly ServicePort[]
  readonly externalIps: readonly Ip[]
  readonly loadBalancer: readonly LoadBalancerIngress[]
  /** Valid entries only, of both families; empty: no restriction. */
  readonly sourceRanges: readonly Cidr[]
  readonly internalTrafficPolicy: TrafficPolicy
  readonly externalTrafficPolicy: TrafficPolicy
  readonly affinity: Affinity
  /** 0: none. */
  readonly healthCheckNodePort: Port
  /** From the annotation `shunt.dev/steer`; `auto`: steered if an L7 object selects it. */
  readonly steer: SteerMode
  /** From the annotation `shunt.dev/when-proxy-down`: `balance` lets the kernel balance alone, `reject` refuses. */
  readonly whenProxyDown: WhenProxyDown
}

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'

export interface ServicePort {
  /** Empty for the only port of a Service without a name. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: Port
  /** 0: none. */
  readonly nodePort: Port
  readonly appProtocol?: string
}

/** Only entries with an IP; `Proxy` entries are kept so that `explain` can say why they are not captured (row 21). */
export interface LoadBalancerIngress {
  readonly ip: Ip
  readonly mode: 'VIP' | 'Proxy'
}

export type TrafficPolicy = 'Cluster' | 'Local'

export type Affinity =
  | { readonly kind: 'None' }
  | { readonly kind: 'ClientIP'; readonly timeoutSeconds: number }

export type SteerMode = 'auto' | 'always' | 'never'

export type WhenProxyDown = 'balance' | 'reject'
