// Which address the client of an accepted socket dialled. Whichever way the kernel steers, this can tell.

import type { Socket } from 'node:net'
import type { Address } from '../../kernel/native-types.ts'
import { isPort, type Port } from '../../model/port.ts'
import { socketIp } from '../socket-ip.ts'
import type { SocketAddress } from './engine.ts'

/**
 * sk_lookup leaves a socket the dialled address as its own. DNAT gives it the proxy's port, and conntrack remembers the
 * rest; `translated` asks it and answers undefined if it knows nothing. Then somebody dialled the proxy itself. The
 * answer is undefined if the socket is gone or conntrack cannot be asked.
 */
export function streamDestination(
  listenerPort: Port,
  translated: (socket: Socket) => Address | undefined,
): (socket: Socket) => SocketAddress | undefined {
  return (socket) => {
    const ip = socketIp(socket.localAddress)
    const port = socket.localPort
    if (ip === undefined || !isPort(port)) return undefined
    if (port !== listenerPort) return { ip, port }
    try {
      return translated(socket) ?? { ip, port }
    } catch {
      return undefined
    }
  }
}
