// Ends a socket with a TCP reset, which tells the peer that the connection failed, where an end would say that it is
// complete.

import type { Socket } from 'node:net'

/** Bytes not yet sent are thrown away. Nothing if the socket is closed already. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  // While a shutdown is on its way, libuv refuses a reset and the descriptor would be lost. It takes one turn of the
  // event loop, whatever the peer does, because the shutdown starts only after the last byte left the process.
  const shuttingDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (shuttingDown) socket.once('finish', () => resetSocket(socket))
  else socket.resetAndDestroy()
}
