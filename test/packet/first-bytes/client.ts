// One connection whose first bytes are exactly as asked: a request as JSON in the first argument, what came of it as JSON
// on stdout.

import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'

export interface ClientRequest {
  readonly to: string
  readonly port: number
  /** Sent before everything else. */
  readonly firstHex?: string
  /** undefined: no TLS, but `ping` and a line break. */
  readonly tls?: {
    readonly serverName?: string
    /** `bytes`: the ClientHello in segments of one byte; `records`: in TLS records of so many. */
    readonly cut?: 'bytes' | { readonly records: number }
  }
}

export type ClientAnswer =
  | {
      readonly kind: 'answered'
      /** Common name of the certificate; undefined: no TLS. */
      readonly certificate: string | undefined
      readonly text: string
      /** Of the client's own socket. */
      readonly port: number
    }
  | { readonly kind: 'failed'; readonly code: string }

const TIMEOUT_MS = 10_000

const request = JSON.parse(process.argv[2] ?? '{}') as ClientRequest
const answer = await Promise.race([
  talk(request),
  sleep(TIMEOUT_MS, { kind: 'failed', code: 'TIMEOUT' } as const),
])
process.stdout.write(`${JSON.stringify(answer)}\n`)
process.exit(0)

async function talk({ to, port, firstHex = '', tls }: ClientRequest): Promise<ClientAnswer> {
  const socket = connectPlain({ host: to, port, noDelay: true })
  try {
    await once(socket, 'connect')
    const own = socket.localPort ?? 0
    socket.write(Buffer.from(firstHex, 'hex'))
    return tls === undefined
      ? { kind: 'answered', certificate: undefined, text: await ask(socket, 'ping\n'), port: own }
      : await talkTls(socket, tls, own)
  } catch (error) {
    return { kind: 'failed', code: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}

async function talkTls(
  socket: Socket,
  { serverName, cut }: NonNullable<ClientRequest['tls']>,
  port: number,
): Promise<ClientAnswer> {
  const secured = connectTls({
    socket: cut === undefined ? socket : cutting(socket, cut),
    rejectUnauthorized: false,
    ...(serverName === undefined ? {} : { servername: serverName }),
  })
  await once(secured, 'secureConnect')
  const certificate = String(secured.getPeerCertificate().subject.CN)
  return { kind: 'answered', certificate, text: await ask(secured, 'hello over TLS\n'), port }
}

async function ask(socket: Duplex, text: string): Promise<string> {
  socket.write(text)
  let heard = ''
  for await (const chunk of socket) heard += String(chunk)
  if (heard === '') throw Object.assign(new Error('no answer'), { code: 'EMPTY' })
  return heard
}

/** The same socket, of which the first thing that is written (the ClientHello) leaves in pieces. */
function cutting(socket: Socket, cut: NonNullable<NonNullable<ClientRequest['tls']>['cut']>): Duplex {
  let isFirst = true
  const passOn = async (pieces: readonly Buffer[], done: (error?: Error | null) => void): Promise<void> => {
    try {
      await send(socket, pieces)
      done()
    } catch (error) {
      done(error as Error)
    }
  }
  const cutter = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const pieces = !isFirst ? [chunk] : cut === 'bytes' ? bytesOf(chunk) : recordsOf(chunk, cut.records)
      isFirst = false
      void passOn(pieces, done)
    },
    final(done) {
      socket.end(done)
    },
  })
  socket.on('data', (chunk: Buffer) => cutter.push(chunk))
  socket.on('end', () => cutter.push(null))
  socket.on('error', (error) => cutter.destroy(error))
  return cutter
}

/** With pauses, so that whoever looks meanwhile sees a part of it. */
async function send(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  for (const [i, piece] of pieces.entries()) {
    socket.write(piece)
    await (i % 100 === 99 ? sleep(10) : new Promise((resolve) => setImmediate(resolve)))
  }
}

function bytesOf(hello: Buffer): Buffer[] {
  return [...hello].map((byte) => Buffer.of(byte))
}

/** The one record that a ClientHello came in, as many. */
function recordsOf(hello: Buffer, size: number): Buffer[] {
  const records: Buffer[] = []
  for (let at = 5; at < hello.length; at += size) {
    const fragment = hello.subarray(at, at + size)
    records.push(Buffer.of(22, 3, 1, fragment.length >> 8, fragment.length & 0xff), fragment)
  }
  return records
}
