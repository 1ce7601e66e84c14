// The listening half of a peer: sockets that say who they are and whom they see.

import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { hostname } from 'node:os'

import type { ListenRequest, UnlistenRequest } from './peer-messages.ts'

export interface Listeners {
  listen(request: ListenRequest): Promise<void>
  unlisten(request: UnlistenRequest): Promise<void>
}

export function createListeners(): Listeners {
  const closers = new Map<string, () => void>()
  return {
    listen: async (request) => {
      const key = keyOf(request)
      if (closers.has(key)) return
      closers.set(key, request.protocol === 'tcp' ? await listenTcp(request) : await listenUdp(request))
    },
    unlisten: (request) => {
      closers.get(keyOf(request))?.()
      closers.delete(keyOf(request))
      return Promise.resolve()
    },
  }
}

function keyOf(request: Omit<UnlistenRequest, 'kind'>): string {
  return `${request.protocol}|${request.address}|${request.port}`
}

function listenTcp(request: ListenRequest): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: request.behaviour === 'open' }, (socket) =>
      serve(socket, request),
    )
    server.on('error', reject)
    server.listen({ host: request.address, port: request.port, backlog: 4096 }, () => {
      resolve(() => server.close())
    })
  })
}

function serve(socket: Socket, request: ListenRequest): void {
  // A client that resets is no news for a test server.
  socket.on('error', () => socket.destroy())
  if (request.behaviour !== 'answer') {
    socket.resume()
    return
  }
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (/^[A-Z]+ \S+ HTTP\/1/.test(text)) {
      if (!text.includes('\r\n\r\n')) return
      socket.end(httpAnswer(text, socket, request))
      return
    }
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      text = text.slice(end + 1)
      socket.write(`${request.name} ${socket.remoteAddress}\n`)
    }
  })
}

/** The kind of answer that the echo server of the well-known tutorial gives. */
function httpAnswer(head: string, socket: Socket, request: ListenRequest): string {
  const [line = ''] = head.split('\r\n')
  const [method, path] = line.split(' ')
  const body = [
    `Hostname: ${request.name}`,
    '',
    'Request Information:',
    `  client_address=${socket.remoteAddress}`,
    `  method=${method}`,
    `  real path=${path}`,
    `  server=${request.address}:${request.port} (${hostname()})`,
    '',
  ].join('\n')
  return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
}

function listenUdp(request: ListenRequest): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const type = request.address.includes(':') ? 'udp6' : 'udp4'
    const socket = createSocket({ type, ipv6Only: type === 'udp6' })
    socket.on('error', reject)
    socket.on('message', (_, from) => {
      if (request.behaviour === 'answer')
        socket.send(`${request.name} ${from.address}\n`, from.port, from.address)
    })
    socket.bind(request.port, request.address, () => resolve(() => socket.close()))
  })
}
