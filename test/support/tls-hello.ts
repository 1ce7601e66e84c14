// ClientHellos: real ones as Node's TLS writes them, and ones made by hand, field by field, right or wrong.

import { Duplex } from 'node:stream'
import { connect, type ConnectionOptions } from 'node:tls'

/** What Node's client writes first; nobody answers it. */
export async function realHello(options: ConnectionOptions): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>()
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      resolve(Uint8Array.from(chunk))
      done()
    },
  })
  const client = connect({ ...options, socket: wire })
  client.on('error', () => {})
  const hello = await promise
  client.destroy()
  return hello
}

export interface HelloFields {
  readonly major?: number
  readonly sessionId?: readonly number[]
  readonly ciphers?: readonly number[]
  readonly compressions?: readonly number[]
  /** undefined: the hello ends before them. */
  readonly extensions?: readonly (readonly number[])[]
}

/** The handshake message, without records. */
export function handshake(fields: HelloFields): number[] {
  const { major = 3, sessionId = [], ciphers = [0x13, 0x01], compressions = [0], extensions } = fields
  const body = [
    [major, 3, ...Array<number>(32).fill(7)],
    [sessionId.length, ...sessionId],
    [...uint16(ciphers.length), ...ciphers],
    [compressions.length, ...compressions],
    extensions === undefined ? [] : vector16(extensions.flat()),
  ].flat()
  return [1, 0, ...uint16(body.length), ...body]
}

/** One record, or records of these sizes, and the rest in one more. */
export function records(message: readonly number[], sizes: readonly number[] = []): Uint8Array {
  const bytes: number[] = []
  let at = 0
  for (const size of [...sizes, message.length]) {
    const fragment = message.slice(at, at + size)
    if (fragment.length > 0) bytes.push(22, 3, 1, ...vector16(fragment))
    at += size
  }
  return Uint8Array.from(bytes)
}

export function extension(type: number, content: readonly number[]): number[] {
  return [...uint16(type), ...vector16(content)]
}

/** The server_name extension with one host name in each argument. */
export function serverName(...names: readonly string[]): number[] {
  return extension(0, vector16(names.flatMap((name) => [0, ...vector16(latin1(name))])))
}

export function vector16(content: readonly number[]): number[] {
  return [...uint16(content.length), ...content]
}

export function latin1(text: string): number[] {
  return [...Buffer.from(text, 'latin1')]
}

function uint16(value: number): number[] {
  return [(value >> 8) & 0xff, value & 0xff]
}
