// Addresses as Node's sockets write them.

import { parseIp, type Ip } from '../model/ip.ts'

/** undefined: the socket is gone. Drops the zone of a link-local address and unmaps IPv4-mapped ones. */
export function socketIp(address: string | undefined): Ip | undefined {
  const [ip = ''] = (address ?? '').split('%')
  return parseIp(ip)
}
