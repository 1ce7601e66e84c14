// The body of a ClientHello (RFC 8446 section 4.1.2) down to the content of its server_name extension. Extensions that
// are not known, GREASE among them, are stepped over.

import { byteReader, type ByteReader } from './byte-reader.ts'

export type Extensions =
  /** Content of server_name; undefined: there is no such extension. */
  | { readonly kind: 'read'; readonly serverName: Uint8Array | undefined }
  | { readonly kind: 'malformed'; readonly because: string }

const SERVER_NAME = 0
const MAX_SESSION_ID_BYTES = 32

export function readExtensions(body: Uint8Array): Extensions {
  const reader = byteReader(body)
  const wrong = stepToExtensions(reader)
  if (wrong !== undefined) return malformed(wrong)
  // Before TLS 1.2 a hello might end here.
  if (reader.left() === 0) return { kind: 'read', serverName: undefined }

  const list = byteReader(reader.bytes(reader.uint16()))
  if (reader.overrun() || reader.left() > 0) return malformed('its list of extensions has the wrong length')
  let serverName: Uint8Array | undefined
  while (list.left() > 0) {
    const type = list.uint16()
    const content = list.bytes(list.uint16())
    if (list.overrun()) return malformed('an extension ends behind the list of extensions')
    if (type !== SERVER_NAME) continue
    // The endpoint might believe the other one.
    if (serverName !== undefined) return malformed('it has two server_name extensions')
    serverName = content
  }
  return { kind: 'read', serverName }
}

function stepToExtensions(reader: ByteReader): string | undefined {
  const major = reader.uint8()
  reader.bytes(1 + 32) // minor version, random
  const sessionIdBytes = reader.uint8()
  reader.bytes(sessionIdBytes)
  const cipherBytes = reader.uint16()
  reader.bytes(cipherBytes)
  const compressionBytes = reader.uint8()
  reader.bytes(compressionBytes)
  if (reader.overrun()) return 'its ClientHello ends too early'
  if (major !== 3) return `its ClientHello has the major version ${major}, not 3`
  if (sessionIdBytes > MAX_SESSION_ID_BYTES) return `its session id has ${sessionIdBytes} bytes`
  if (cipherBytes === 0 || cipherBytes % 2 !== 0) return `its list of ciphers has ${cipherBytes} bytes`
  return compressionBytes === 0 ? 'it offers no compression method, not even none' : undefined
}

function malformed(because: string): Extensions {
  return { kind: 'malformed', because }
}
