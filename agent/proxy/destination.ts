// Which address the client of an accepted connection dialled. Whichever way the kernel steers, this can tell.

import type { Socket } from 'node:net'
import type { Address } from '../kernel/native-types.ts'
import { messageOf } from '../model/errors.ts'
import { isPort, type Port } from '../model/port.ts'
import type { Destination } from './intake.ts'
import { socketIp } from './socket-ip.ts'

/**
 * sk_lookup leaves a socket the dialled address as its own. DNAT gives it the proxy's port, and conntrack remembers the
 * rest; `translated` asks it and answers undefined if it knows nothing. Then somebody dialled the proxy itself.
 */
export function destinationOf(
  listenerPort: Port,
  translated: (socket: Socket) => Address | undefined,
): (socket: Socket) => Destination {
  return (socket) => {
    const ip = socketIp(socket.localAddress)
    const port = socket.localPort
    if (ip === undefined || !isPort(port))
      return { kind: 'unknown', because: 'the socket has no local address any more' }
    if (port !== listenerPort) return { kind: 'known', ip, port }
    try {
      return { kind: 'known', ...(translated(socket) ?? { ip, port }) }
    } catch (error) {
      return { kind: 'unknown', because: messageOf(error) }
    }
  }
}
