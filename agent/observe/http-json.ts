// A tiny HTTP server for the admin sockets, health and metrics: fixed routes, JSON or text replies, small requests.
// Over a Unix socket only the owner may connect; a socket file that a dead process left is replaced, a live one is not.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { messageOf, ShuntError } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import { claimSocketPath, ownSocket } from './unix-socket.ts'

export type ListenPlace =
  | { readonly kind: 'unix'; readonly path: string }
  /** Port 0: any free one, see {@link HttpServer.port}. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Made by somebody else, who says who may connect. The server owns the descriptor; a file stays when it closes. */
  | { readonly kind: 'fd'; readonly fd: number }

export interface Request {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** The decoded JSON body; undefined if there is none. */
  readonly body: unknown
}

export type Reply =
  | { readonly kind: 'json'; readonly value: unknown; readonly status?: number; readonly headers?: Headers }
  | { readonly kind: 'text'; readonly text: string; readonly status?: number; readonly headers?: Headers }

type Headers = Readonly<Record<string, string>>

/** By `GET /path`; a path that ends in `/*` takes everything below it. */
export type Routes = Readonly<Record<string, (request: Request) => Reply | Promise<Reply>>>

export interface HttpServer {
  /** The TCP port that it got; 0 for a Unix socket. */
  readonly port: number
  close(): Promise<void>
}

/** An `import` of it reads every export, and with that loads an HTTP client of 12 MiB that nobody uses. */
const http = process.getBuiltinModule('node:http')

const MAX_BODY_BYTES = 64 * 1024
const REQUEST_TIMEOUT_MS = 10_000

export function json(value: unknown, status = 200): Reply {
  return { kind: 'json', value, status }
}

export function text(body: string, status = 200): Reply {
  return { kind: 'text', text: body, status }
}

/** Throws ShuntError ADDRESS_IN_USE, ALREADY_RUNNING (someone answers on the Unix socket) or NOT_PERMITTED. */
export async function serveHttp(place: ListenPlace, routes: Routes, log: Log): Promise<HttpServer> {
  const server = http.createServer((incoming, outgoing) => {
    void respond(incoming, outgoing, routes, log)
  })
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.headersTimeout = REQUEST_TIMEOUT_MS
  server.keepAliveTimeout = 1_000
  server.maxConnections = 100
  if (place.kind === 'unix') await claimSocketPath(place.path)
  await listening(server, place)
  if (place.kind === 'unix') await ownSocket(place.path, { mode: 0o600 })
  server.on('error', (error) => log.warn({ error }, 'a listener reported an error'))
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

function listening(server: Server, place: ListenPlace): Promise<void> {
  const name = nameOf(place)
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code =
        error.code === 'EADDRINUSE'
          ? 'ADDRESS_IN_USE'
          : error.code === 'EACCES'
            ? 'NOT_PERMITTED'
            : 'KERNEL_REFUSED'
      reject(new ShuntError(code, `cannot listen on ${name}: ${error.message}`, { cause: error }))
    })
    server.once('listening', () => {
      server.removeAllListeners('error')
      resolve()
    })
    if (place.kind === 'unix') server.listen(place.path)
    else if (place.kind === 'fd') server.listen({ fd: place.fd })
    else server.listen(place.port, place.host)
  })
}

function nameOf(place: ListenPlace): string {
  switch (place.kind) {
    case 'unix':
      return place.path
    case 'tcp':
      return `${place.host}:${place.port}`
    case 'fd':
      return `descriptor ${place.fd}`
  }
}

async function respond(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  routes: Routes,
  log: Log,
): Promise<void> {
  let reply: Reply
  try {
    reply = await route(incoming, routes)
  } catch (error) {
    reply = failure(error)
    if ((reply.status ?? 500) >= 500) log.warn({ error, url: incoming.url }, 'a request failed')
  }
  try {
    send(outgoing, reply)
  } catch (error) {
    log.warn({ error, url: incoming.url }, 'a reply could not be written')
    outgoing.destroy()
  }
}

async function route(incoming: IncomingMessage, routes: Routes): Promise<Reply> {
  const url = new URL(incoming.url ?? '/', 'http://local')
  const method = incoming.method === 'HEAD' ? 'GET' : (incoming.method ?? 'GET')
  const run = lookup(routes, method, url.pathname)
  if (run === undefined) {
    const elsewhere = ['GET', 'POST'].some((other) => lookup(routes, other, url.pathname) !== undefined)
    return elsewhere
      ? failureReply(405, 'USAGE', `${method} is not allowed here`, '')
      : failureReply(404, 'NOT_FOUND', `there is nothing at ${url.pathname}`, '')
  }
  const body = await readBody(incoming)
  return run({ method, path: url.pathname, query: url.searchParams, body })
}

function lookup(routes: Routes, method: string, path: string): Routes[string] | undefined {
  const key = `${method} ${path}`
  if (Object.hasOwn(routes, key)) return routes[key]
  const wild = Object.keys(routes).find((each) => each.endsWith('/*') && key.startsWith(each.slice(0, -1)))
  return wild === undefined ? undefined : routes[wild]
}

async function readBody(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > MAX_BODY_BYTES)
      throw new ShuntError('USAGE', `the request is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (sizeBytes === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch (error) {
    throw new ShuntError('USAGE', `the request is not JSON: ${messageOf(error)}`)
  }
}

/** What was thrown, as the client gets it: `{error: {code, message, hint}}`. */
function failure(error: unknown): Reply {
  if (!(error instanceof ShuntError)) return failureReply(500, 'INTERNAL', messageOf(error), '')
  const status =
    error.code === 'USAGE' ? 400 : error.code === 'NOT_FOUND' ? 404 : error.code === 'NOT_READY' ? 503 : 500
  return failureReply(status, error.code, error.message, error.hint)
}

function failureReply(status: number, code: string, message: string, hint: string): Reply {
  return { kind: 'json', status, value: { error: { code, message, hint } } }
}

function send(outgoing: ServerResponse, reply: Reply): void {
  const body = reply.kind === 'json' ? `${JSON.stringify(reply.value)}\n` : reply.text
  outgoing.writeHead(reply.status ?? 200, {
    'content-type': reply.kind === 'json' ? 'application/json' : 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-length': Buffer.byteLength(body),
    ...reply.headers,
  })
  outgoing.end(body)
}
