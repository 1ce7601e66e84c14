// The keys of ProxyView.frontends, written by the agent's publisher and looked up by decide().

import type { Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'

export function frontendKey(ip: Ip | undefined, port: Port): string {
  return `${ip ?? 'node'}|${port}`
}
