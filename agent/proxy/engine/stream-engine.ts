// The engine on Node's own sockets: what serves where the native relay does not. Costs several times the CPU of the
// native one, and everything happens on JavaScript's thread.

import { createServer, Socket, type ListenOptions, type Server } from 'node:net'
import type { Fd } from '../../kernel/native-types.ts'
import type { Clock } from '../../model/clock.ts'
import type { RelayTimeouts } from '../../model/connection-policy.ts'
import { isPort } from '../../model/port.ts'
import { resetSocket } from '../reset.ts'
import { socketIp } from '../socket-ip.ts'
import { KEEP_ALIVE_MS, type Dialer } from './dialer.ts'
import type {
  ConnectionId,
  Engine,
  EngineCounter,
  EngineEvents,
  EngineStatus,
  RelayedBytes,
  SocketAddress,
  Verdict,
} from './engine.ts'
import { shortageOf } from './shortage.ts'
import { adoptStart, StreamConnection, type StreamConnectionParts } from './stream-connection.ts'

export interface StreamEngineParts {
  readonly clock: Clock
  /** The engine closes it. */
  readonly dialer: Dialer
  /** What the client dialled; undefined if the kernel does not say. It may take a while to find out. */
  readonly destination: (socket: Socket) => SocketAddress | undefined | Promise<SocketAddress | undefined>
  /**
   * Where to listen for one of the sockets: on a second descriptor of it, because Node closes the one that it listened
   * on, or, where there are no descriptors, on an address.
   */
  readonly place: (fd: Fd) => ListenOptions | { readonly fd: Fd }
  readonly events: EngineEvents
}

/** Connections that wait for accept while the event loop is busy; the kernel's somaxconn may be lower. */
export const LISTEN_BACKLOG = 4096

export class StreamEngine implements Engine {
  readonly #parts: StreamEngineParts
  readonly #connectionParts: StreamConnectionParts
  readonly #servers = new Map<Fd, Server>()
  readonly #connections = new Map<ConnectionId, StreamConnection>()
  readonly #counters: Record<EngineCounter, number> = {
    spliced_bytes: 0,
    copied_bytes: 0,
    pipe_shortages: 0,
    descriptor_shortages: 0,
    memory_shortages: 0,
    port_shortages: 0,
  }
  #lastId = 0
  #unbound = -1

  constructor(parts: StreamEngineParts) {
    this.#parts = parts
    this.#connectionParts = {
      clock: parts.clock,
      dialer: parts.dialer,
      events: parts.events,
      forget: (connection, { fromClient, fromEndpoint }) => {
        this.#connections.delete(connection)
        this.#counters.copied_bytes += fromClient + fromEndpoint
      },
      attemptFailed: (code) => this.#countShortage(code),
    }
  }

  addListener(fd: Fd): void {
    const server = this.#serve()
    this.#servers.set(fd, server)
    // Node listens again on a descriptor that listens already, which sets the length of the queue anew; of a descriptor
    // it takes that from here alone.
    const place = this.#parts.place(fd)
    if ('fd' in place) server.listen(place, LISTEN_BACKLOG)
    else server.listen({ ...place, backlog: LISTEN_BACKLOG })
  }

  /** Listens by itself, where no descriptor can be had. Rejects with what the system said. */
  async listenOn(at: Pick<ListenOptions, 'host' | 'port'>): Promise<SocketAddress> {
    const server = this.#serve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.once('error', reject)
    server.listen({ ...at, backlog: LISTEN_BACKLOG }, resolve)
    await promise
    server.off('error', reject)
    this.#servers.set(this.#unbound--, server)
    const address = server.address()
    const ip = typeof address === 'object' ? socketIp(address?.address) : undefined
    if (ip === undefined || address === null || typeof address === 'string')
      throw new Error('a listening socket has no address')
    return { ip, port: address.port }
  }

  removeListener(fd: Fd): Promise<void> {
    this.#servers.get(fd)?.close()
    this.#servers.delete(fd)
    return Promise.resolve()
  }

  decide(connection: ConnectionId, verdict: Verdict): void {
    this.#connections.get(connection)?.decide(verdict)
  }

  peek(connection: ConnectionId, maxBytes: number): Uint8Array {
    return this.#connections.get(connection)?.peek(maxBytes) ?? new Uint8Array(0)
  }

  abort(connection: ConnectionId): void {
    this.#connections.get(connection)?.abort()
  }

  bytes(connection: ConnectionId): RelayedBytes {
    return this.#connections.get(connection)?.bytes() ?? { fromClient: 0, fromEndpoint: 0 }
  }

  adopt(
    client: Fd,
    endpoint: Fd,
    limits: RelayTimeouts,
    first?: { toEndpoint?: Uint8Array; toClient?: Uint8Array },
  ): ConnectionId {
    const id = this.#newId()
    const connection = new StreamConnection(id, socketOf(client), this.#connectionParts)
    this.#connections.set(id, connection)
    connection.adopt(socketOf(endpoint), adoptStart(limits, first))
    return id
  }

  /** It runs on the thread of whoever asks, so it goes round now. */
  lastTurnMs(): number {
    return this.#parts.clock.monotonicMs()
  }

  status(): EngineStatus {
    let copied_bytes = this.#counters.copied_bytes
    for (const connection of this.#connections.values()) {
      const { fromClient, fromEndpoint } = connection.bytes()
      copied_bytes += fromClient + fromEndpoint
    }
    return {
      kind: 'stream',
      connections: this.#connections.size,
      pipes: 0,
      counters: { ...this.#counters, copied_bytes },
    }
  }

  close(): void {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    for (const connection of this.#connections.values()) connection.discard()
    this.#connections.clear()
    this.#parts.dialer.close()
  }

  #serve(): Server {
    const server = createServer(
      {
        allowHalfOpen: true,
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
      },
      (socket) => this.#take(socket),
    )
    // It never closes the listener: when descriptors run out, connections wait in the queue until there are some again.
    server.on('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? 'EIO'
      this.#countShortage(code)
      this.#parts.events.acceptFailed(code, 1)
    })
    return server
  }

  #take(socket: Socket): void {
    const ip = socketIp(socket.remoteAddress)
    const port = socket.remotePort
    if (ip === undefined || !isPort(port)) {
      // Reset by its client before it was accepted: it has no address any more.
      socket.on('error', () => {})
      resetSocket(socket)
      return this.#parts.events.acceptFailed('ECONNABORTED', 1)
    }
    const destination = this.#parts.destination(socket)
    if (!(destination instanceof Promise)) return this.#begin(socket, { ip, port }, destination)
    const ignore = (): void => {}
    socket.on('error', ignore)
    void destination.then((found) => {
      if (socket.destroyed) return this.#parts.events.acceptFailed('ECONNABORTED', 1)
      this.#begin(socket, { ip, port }, found)
      socket.off('error', ignore)
    })
  }

  #begin(socket: Socket, client: SocketAddress, destination: SocketAddress | undefined): void {
    const id = this.#newId()
    this.#connections.set(id, new StreamConnection(id, socket, this.#connectionParts))
    this.#parts.events.accepted(id, client, destination)
  }

  #newId(): ConnectionId {
    do this.#lastId = this.#lastId === LAST_ID ? 1 : this.#lastId + 1
    while (this.#connections.has(this.#lastId))
    return this.#lastId
  }

  #countShortage(code: string): void {
    const counter = shortageOf(code)
    if (counter !== undefined) this.#counters[counter]++
  }
}

/** Small integers are the fastest keys of a Map. */
const LAST_ID = 0x3fff_ffff

function socketOf(fd: Fd): Socket {
  const socket = new Socket({ fd, allowHalfOpen: true })
  socket.pause()
  return socket
}
