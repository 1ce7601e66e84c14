// Accepts connections on a listening socket that somebody else made, and hands them on paused. An error of accept never
// closes it: when descriptors run out, connections wait in the queue until there are some again.

import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import type { Log } from '../model/log.ts'
import type { Destination } from './intake.ts'
import { LogGate } from './log-gate.ts'
import { KEEP_ALIVE_MS } from './upstream.ts'

/** Connections that wait for accept while the event loop is busy; the kernel's somaxconn may be lower. */
export const LISTEN_BACKLOG = 4096

/** A descriptor of a listening socket, or for tests an address to listen on. */
export type ListenerSource = { readonly fd: number } | { readonly host: string; readonly port: number }

export interface ListenerParts {
  readonly clock: Clock
  readonly log: Log
  readonly originalDestination: (socket: Socket) => Destination
  readonly take: (socket: Socket, destination: Destination) => void
  /** Hears of every error of accept. */
  readonly acceptFailed: (error: NodeJS.ErrnoException) => void
}

export interface Listener {
  /** As bound. */
  readonly address: { readonly ip: string; readonly port: number }
  readonly listening: boolean
  /** Accepts no more; what was accepted lives on. */
  close(): void
}

/** Rejects with what the system said. */
export async function startListener(source: ListenerSource, parts: ListenerParts): Promise<Listener> {
  const gate = new LogGate(parts.clock)
  const server = createServer(
    {
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    },
    (socket) => parts.take(socket, parts.originalDestination(socket)),
  )
  await listening(server, source)
  server.on('error', (error: NodeJS.ErrnoException) => {
    parts.acceptFailed(error)
    gate.pass(error.code ?? '', (suppressed) =>
      parts.log.warn({ error, suppressed }, 'a connection could not be accepted'),
    )
  })
  const address = server.address()
  return {
    address:
      address === null || typeof address === 'string'
        ? { ip: '', port: 0 }
        : { ip: address.address, port: address.port },
    get listening() {
      return server.listening
    },
    close: () => void server.close(),
  }
}

async function listening(server: Server, source: ListenerSource): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  // Node listens again on a descriptor that listens already, which sets the length of the queue anew.
  if ('fd' in source) server.listen({ fd: source.fd }, LISTEN_BACKLOG, resolve)
  else server.listen({ host: source.host, port: source.port, backlog: LISTEN_BACKLOG }, resolve)
  await promise
  server.off('error', reject)
}
