// The server name that a TLS client asks for, read from its first bytes and nothing else: no key, no state, no
// dependence on the version. Every byte is the client's, so every length is checked and no input throws.

import { readExtensions } from './extensions.ts'
import { readHandshake } from './handshake.ts'
import { serverNameOf } from './server-name.ts'

export type ClientHello =
  /** `serverName`: lower case, without a dot at the end; undefined: the client names none. */
  | { readonly kind: 'hello'; readonly serverName: string | undefined }
  /** So many bytes from the start belong to the hello at the least, more than there are now. */
  | { readonly kind: 'more'; readonly atLeastBytes: number }
  /** It is not TLS, or malformed, or too large. */
  | { readonly kind: 'other'; readonly because: string }

/** More is not looked at: browsers send two thousand bytes, key shares after quantum computers included. */
export const MAX_HELLO_BYTES = 16_384

/**
 * Reads the ClientHello at the start of `bytes`; what follows it is ignored. Of a complete hello every proper prefix
 * is `more`, and `atLeastBytes` never goes beyond its end, so that a reader that waits for so many bytes waits for
 * nothing that will not come. With Encrypted ClientHello the name is the outer one.
 */
export function readClientHello(bytes: Uint8Array): ClientHello {
  const handshake = readHandshake(bytes.subarray(0, MAX_HELLO_BYTES), MAX_HELLO_BYTES)
  if (handshake.kind !== 'clientHello') return handshake
  const extensions = readExtensions(handshake.body)
  if (extensions.kind === 'malformed') return { kind: 'other', because: extensions.because }
  if (extensions.serverName === undefined) return { kind: 'hello', serverName: undefined }
  const name = serverNameOf(extensions.serverName)
  if (name.kind === 'malformed') return { kind: 'other', because: name.because }
  return { kind: 'hello', serverName: name.name }
}
