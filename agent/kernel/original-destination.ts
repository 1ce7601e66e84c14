// Where a steered connection was going, seen from the socket that the proxy accepted.

import type { Server, Socket } from 'node:net'

import { familyOf, parseIp } from '../model/ip.ts'
import type { Address, Native } from './native-types.ts'

/**
 * With sk_lookup the socket's own address is the destination; after a DNAT conntrack knows it. Both are asked, so that
 * connections of either mechanism are understood while it changes. undefined: the socket is gone already.
 */
export function originalDestination(native: Native, socket: Socket): Address | undefined {
  const ip = parseIp(socket.localAddress ?? '')
  const port = socket.localPort
  if (ip === undefined || port === undefined) return undefined
  const fd = fdOf(socket)
  // A connection that nobody translated is in conntrack too, with the address that the socket itself has.
  const known = fd === undefined ? undefined : native.originalDestination(fd, familyOf(ip))
  return known ?? { ip, port }
}

/** Node keeps the descriptor in the handle of every socket of its own; no other way leads to it. */
export function fdOf(socket: Socket | Server): number | undefined {
  if (!('_handle' in socket)) return undefined
  const handle: unknown = socket._handle
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}
