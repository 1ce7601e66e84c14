// The first handshake message of a TLS stream, put together from its records (RFC 8446 sections 4 and 5.1):
//
//   record     22 | 3, x | length of fragment (2) | fragment
//   handshake  1 = ClientHello | length of body (3) | body
//
// A message may be cut into records anywhere, its own header included; a record may hold more than one message.

export type Handshake =
  | { readonly kind: 'clientHello'; readonly body: Uint8Array }
  | { readonly kind: 'more'; readonly atLeastBytes: number }
  | { readonly kind: 'other'; readonly because: string }

const RECORD_HEADER_BYTES = 5
const HANDSHAKE_HEADER_BYTES = 4
const HANDSHAKE_RECORD = 22
const MAJOR_VERSION = 3
const CLIENT_HELLO = 1
/** 2^14, RFC 8446 section 5.1. */
const MAX_FRAGMENT_BYTES = 16_384

/** `maxBytes`: a message that ends later, record headers included, is `other`. */
export function readHandshake(bytes: Uint8Array, maxBytes: number): Handshake {
  const fragments: Uint8Array[] = []
  let haveBytes = 0
  let wantBytes = HANDSHAKE_HEADER_BYTES
  let at = 0
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const wrong = wrongHeader(bytes, at)
    if (wrong !== undefined) return other(wrong)
    const start = at + RECORD_HEADER_BYTES
    at = start + uint16(bytes, at + 3)
    const fragment = bytes.subarray(start, at)
    fragments.push(fragment)
    haveBytes += fragment.length

    const header = headerOf(fragments)
    if (header.type !== undefined && header.type !== CLIENT_HELLO)
      return other(`its first handshake message is of type ${header.type}, not a ClientHello`)
    wantBytes = header.messageBytes ?? HANDSHAKE_HEADER_BYTES
    if (header.messageBytes !== undefined && haveBytes >= wantBytes)
      return { kind: 'clientHello', body: joined(fragments).subarray(HANDSHAKE_HEADER_BYTES, wantBytes) }
  }

  const wrong = wrongHeader(bytes, at)
  if (wrong !== undefined) return other(wrong)
  // At the very start one byte tells most other protocols from TLS; asking for more could wait for ever.
  if (bytes.length === 0) return { kind: 'more', atLeastBytes: 1 }
  const atLeastBytes = leastEnd(bytes.length, at, wantBytes - haveBytes)
  return atLeastBytes > maxBytes
    ? other(`its ClientHello does not end within ${maxBytes} bytes`)
    : { kind: 'more', atLeastBytes }
}

/**
 * Where a message can end at the earliest of which `missingBytes` are not there: in the record that ends at
 * `recordEnd`, or else after the header of at least one more record.
 */
function leastEnd(haveBytes: number, recordEnd: number, missingBytes: number): number {
  if (haveBytes + missingBytes <= recordEnd) return haveBytes + missingBytes
  const left = missingBytes - Math.max(recordEnd - haveBytes, 0)
  return recordEnd + RECORD_HEADER_BYTES + left
}

/** What shows that no handshake record begins at `at`, as far as there are bytes. */
function wrongHeader(bytes: Uint8Array, at: number): string | undefined {
  const [type, major] = bytes.subarray(at, at + 2)
  if (type === undefined) return undefined
  if (at === 0 && type !== HANDSHAKE_RECORD)
    return `it begins with the byte 0x${hex(type)}, not with a TLS handshake record`
  if (type !== HANDSHAKE_RECORD) return `a record of type ${type} interrupts its ClientHello`
  if (major !== undefined && major !== MAJOR_VERSION)
    return `its record has the major version ${major}, not 3`
  if (bytes.length < at + RECORD_HEADER_BYTES) return undefined
  const fragmentBytes = uint16(bytes, at + 3)
  if (fragmentBytes === 0) return 'it has an empty handshake record'
  return fragmentBytes > MAX_FRAGMENT_BYTES ? `it has a record of ${fragmentBytes} bytes` : undefined
}

/** Type and whole size of the message, as far as its four bytes of header are there. */
function headerOf(fragments: readonly Uint8Array[]): { type?: number; messageBytes?: number } {
  const header: number[] = []
  for (const fragment of fragments) {
    if (header.length >= HANDSHAKE_HEADER_BYTES) break
    header.push(...fragment.subarray(0, HANDSHAKE_HEADER_BYTES - header.length))
  }
  const [type, high, middle, low] = header
  if (type === undefined) return {}
  if (high === undefined || middle === undefined || low === undefined) return { type }
  return { type, messageBytes: HANDSHAKE_HEADER_BYTES + high * 65_536 + middle * 256 + low }
}

function joined(fragments: readonly Uint8Array[]): Uint8Array {
  const [only] = fragments
  if (only !== undefined && fragments.length === 1) return only
  const bytes = new Uint8Array(fragments.reduce((sum, fragment) => sum + fragment.length, 0))
  let at = 0
  for (const fragment of fragments) {
    bytes.set(fragment, at)
    at += fragment.length
  }
  return bytes
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

function other(because: string): Handshake {
  return { kind: 'other', because }
}
