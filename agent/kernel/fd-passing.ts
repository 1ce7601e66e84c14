// Unix sockets that carry descriptors (SCM_RIGHTS). Nothing here waits: what is not there yet is asked for again.

import { ShuntError } from '../model/errors.ts'
import type { RawAddon } from './native-raw.ts'
import { natural } from './native-sockets.ts'
import type { Fd } from './native-types.ts'
import { kernelCall } from './system-error.ts'

export interface FdPassing {
  /** A listening stream socket whose file has this mode from the start. Throws ADDRESS_IN_USE or NOT_PERMITTED. */
  listenUnix(path: string, mode: number, backlog: number): Fd
  /** Throws with errno ENOENT or ECONNREFUSED (nobody listens), EAGAIN (its queue is full). */
  connectUnix(path: string): Fd
  /** Who is at the other end: the process that connected, or the one that called listen last. */
  unixPeer(socket: Fd): PeerCredentials
  /** Copies go to the other side. Throws if the message does not fit into the socket at once. */
  sendFds(socket: Fd, message: Uint8Array, fds: readonly Fd[]): void
  /** undefined: nothing waits. An empty message: the other side has closed. The descriptors are the caller's. */
  receiveFds(socket: Fd, maxBytes: number): ReceivedFds | undefined
}

export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

export interface ReceivedFds {
  readonly message: Uint8Array
  readonly fds: readonly Fd[]
}

/** kMaxPassedFds of native/src/net/fd_passing.h. */
export const MAX_PASSED_FDS = 250
/** A message that carries descriptors fits into the buffer of a socket of which nothing else was read. */
export const MAX_FD_MESSAGE_BYTES = 16_384

export function nativeFdPassing(raw: RawAddon): FdPassing {
  return {
    listenUnix: (path, mode, backlog) =>
      kernelCall(`listen on ${path}`, () =>
        raw.unixListen(path, natural(mode, 'mode'), natural(backlog, 'backlog')),
      ),
    connectUnix: (path) => kernelCall(`connect to ${path}`, () => raw.unixConnect(path)),
    unixPeer: (socket) =>
      kernelCall('ask who is at the other end of a socket', () => raw.unixPeer(natural(socket, 'socket'))),
    sendFds: (socket, message, fds) => {
      if (message.length === 0 || message.length > MAX_FD_MESSAGE_BYTES || fds.length > MAX_PASSED_FDS)
        throw new ShuntError(
          'INTERNAL',
          `a message of ${message.length} bytes with ${fds.length} descriptors cannot be sent`,
        )
      const numbers = Int32Array.from(fds, (fd) => natural(fd, 'fd'))
      kernelCall('send descriptors', () =>
        raw.sendFds(natural(socket, 'socket'), message, new Uint8Array(numbers.buffer)),
      )
    },
    receiveFds: (socket, maxBytes) => {
      const received = kernelCall('receive descriptors', () =>
        raw.receiveFds(natural(socket, 'socket'), natural(maxBytes, 'maxBytes')),
      )
      if (received === undefined) return undefined
      return { message: received.message, fds: [...new Int32Array(received.fds.buffer)] }
    },
  }
}
