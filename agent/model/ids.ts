// Stable keys. Text, because they print in logs, sort, and index maps on both sides of a socket.

import type { Protocol } from './port.ts'

/** `namespace/name`. */
export type ServiceId = string & { readonly __brand: 'ServiceId' }

/** kube-proxy's service port: `namespace/name:portName/PROTOCOL`, without `:portName` when the port has no name. */
export type ServicePortKey = string & { readonly __brand: 'ServicePortKey' }

export function serviceId(namespace: string, name: string): ServiceId {
  return `${namespace}/${name}` as ServiceId
}

export function servicePortKey(service: ServiceId, portName: string, protocol: Protocol): ServicePortKey {
  return `${service}${portName === '' ? '' : `:${portName}`}/${protocol}` as ServicePortKey
}
