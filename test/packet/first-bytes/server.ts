// Endpoints that show what reached them: TLS servers whose certificate says who they are, and plain ones that send back
// every byte they got. Their list comes as JSON in the first argument; a line on stdout says that all listen.

import { once } from 'node:events'
import { createServer as createPlain, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'

export interface ServerSpec {
  readonly port: number
  /** Its certificate; undefined: a plain server. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** What a plain server got, up to the first `ping` and a line break. */
export interface PlainAnswer {
  readonly hex: string
  /** Who connected. */
  readonly source: string
}

const servers = (JSON.parse(process.argv[2] ?? '[]') as readonly ServerSpec[]).map(serverOf)
await Promise.all(servers.map((server) => once(server, 'listening')))
process.stdout.write('listening\n')

function serverOf({ port, tls }: ServerSpec): Server {
  const server = tls === undefined ? createPlain(answerPlain) : createTls(tls, answerTls)
  server.on('tlsClientError', () => {})
  return server.listen(port, '::')
}

function answerTls(socket: Socket): void {
  socket.on('error', () => {})
  socket.once('data', (line: Buffer) => socket.end(line))
}

function answerPlain(socket: Socket): void {
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    if (!bytes.includes('ping\n')) return
    const answer: PlainAnswer = { hex: bytes.toString('hex'), source: socket.remoteAddress ?? '' }
    socket.end(`${JSON.stringify(answer)}\n`)
  })
}
