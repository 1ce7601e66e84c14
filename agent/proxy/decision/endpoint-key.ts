// The name of an endpoint within a Service port: what the memory of the proxy is kept by, since the objects of a view are
// replaced with every change.

import { hostPort, type Ip } from '../../model/ip.ts'
import type { ViewEndpoint } from './view.ts'

/** `ip|port`, with a canonical address. */
export type EndpointKey = string & { readonly __brand: 'EndpointKey' }

export function endpointKey({ ip, port }: Pick<ViewEndpoint, 'ip' | 'port'>): EndpointKey {
  return `${ip}|${port}` as EndpointKey
}

/** `10.0.0.1:80`, `[fd00::1]:80`: as people write it. */
export function endpointText(key: EndpointKey): string {
  const [ip = '', port = ''] = key.split('|')
  return hostPort(ip as Ip, Number(port))
}
