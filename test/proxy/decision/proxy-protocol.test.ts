// PROXY protocol version 2: headers laid out by hand from the specification, what is refused and why, round trips,
// prefixes, and garbage.

import test from 'ava'
import * as fc from 'fast-check'
import { ipFromBytes } from '#agent/model/ip.ts'
import {
  MAX_PROXY_HEADER_BYTES,
  readProxyHeader,
  writeProxyHeader,
  type ProxyAddress,
} from '#agent/proxy/decision/proxy-protocol.ts'
import { ip } from '../../support/build.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const V4 = `${SIGNATURE} 21 11 000c c0000201 c6336402 d431 01bb`
const V6 = `${SIGNATURE} 21 21 0024 20010db8000000000000000000000001 fd000000000000000000000000000053 1092 0035`
const CLIENT_V4 = { ip: ip('192.0.2.1'), port: 54_321 }
const DESTINATION_V4 = { ip: ip('198.51.100.2'), port: 443 }
const CLIENT_V6 = { ip: ip('2001:db8::1'), port: 4242 }
const DESTINATION_V6 = { ip: ip('fd00::53'), port: 53 }

const READ: readonly (readonly [
  string,
  string,
  ProxyAddress | undefined,
  ProxyAddress | undefined,
  number,
])[] = [
  ['TCP over IPv4', V4, CLIENT_V4, DESTINATION_V4, 28],
  ['TCP over IPv6', V6, CLIENT_V6, DESTINATION_V6, 52],
  [
    'IPv4 in IPv6',
    `${SIGNATURE} 21 21 0024 00000000000000000000ffffc0000201 00000000000000000000ffffc6336402 d431 01bb`,
    CLIENT_V4,
    DESTINATION_V4,
    52,
  ],
  ['LOCAL, as health checks send it', `${SIGNATURE} 20 00 0000`, undefined, undefined, 16],
  ['LOCAL with addresses, which mean nothing', V4.replace(' 21 ', ' 20 '), undefined, undefined, 28],
  ['LOCAL with a family nobody knows', `${SIGNATURE} 20 7f 0001 aa`, undefined, undefined, 17],
  ['an unknown family', `${SIGNATURE} 21 00 0000`, undefined, undefined, 16],
  [
    'an unknown family and bytes that mean nothing',
    `${SIGNATURE} 21 00 0003 aabbcc`,
    undefined,
    undefined,
    19,
  ],
  [
    'TLVs: an authority, one nobody knows, and a cut one',
    `${SIGNATURE} 21 11 0018 c0000201 c6336402 d431 01bb 020003612e62 ea0001 ff04 00`,
    CLIENT_V4,
    DESTINATION_V4,
    40,
  ],
]

for (const [title, text, client, destination, headerBytes] of READ)
  test(`reads ${title}`, (t) => {
    const header = hex(text)
    const want = { kind: 'header' as const, client, destination, headerBytes }
    t.deepEqual(readProxyHeader(header), want)
    t.deepEqual(readProxyHeader(Uint8Array.of(...header, ...header)), want)
    assertPrefixesWantMore(t, header)
  })

const BAD: readonly (readonly [string, string, RegExp])[] = [
  [
    'version 1',
    toHex('PROXY TCP4 192.0.2.1 198.51.100.2 54321 443\r\n'),
    /version 1 \(text\); have the sender/,
  ],
  ['something like version 1', toHex('POST / HTTP/1.1\r\n'), /does not begin with a PROXY header/],
  ['no header', '16 03 01', /does not begin with a PROXY header/],
  ['its first byte', '00', /does not begin with a PROXY header/],
  ['a wrong byte of the signature', '0d0a0d0a00 0e', /does not begin with a PROXY header/],
  ['version 3', `${SIGNATURE} 31`, /says version 3; only version 2 is read/],
  ['command 2', `${SIGNATURE} 22`, /unknown command 2/],
  ['UDP over IPv4', `${SIGNATURE} 21 12`, /about 0x12, which is not TCP over IPv4 or IPv6/],
  ['a Unix socket', `${SIGNATURE} 21 31 00d8`, /about 0x31/],
  ['IPv4 with a protocol nobody knows', `${SIGNATURE} 21 10`, /about 0x10/],
  ['too few bytes for IPv4', `${SIGNATURE} 21 11 000b`, /has 11 bytes for addresses, which take 12/],
  ['too few bytes for IPv6', `${SIGNATURE} 21 21 0023`, /has 35 bytes for addresses, which take 36/],
  ['64 KB announced', `${SIGNATURE} 21 11 ffff`, /has 65551 bytes; at most 4096 are read/],
  ['64 KB announced by LOCAL', `${SIGNATURE} 20 00 ffff`, /has 65551 bytes/],
]

for (const [title, text, want] of BAD)
  test(`refuses ${title}`, (t) => {
    const read = readProxyHeader(hex(text))
    t.is(read.kind, 'bad')
    if (read.kind === 'bad') t.regex(read.because, want)
  })

test('a version 1 header is told from other text by its first word', (t) => {
  t.deepEqual(readProxyHeader(hex(toHex('PROX'))), { kind: 'more', atLeastBytes: 6 })
})

test('the largest header is read, a byte more is not', (t) => {
  const sized = (size: number): Uint8Array => {
    const bytes = new Uint8Array(size)
    bytes.set(hex(V4))
    new DataView(bytes.buffer).setUint16(14, size - 16)
    return bytes
  }
  t.is(readProxyHeader(sized(MAX_PROXY_HEADER_BYTES)).kind, 'header')
  t.is(readProxyHeader(sized(MAX_PROXY_HEADER_BYTES + 1)).kind, 'bad')
})

test('writes the bytes of the specification', (t) => {
  t.deepEqual(writeProxyHeader(CLIENT_V4, DESTINATION_V4), hex(V4))
  t.deepEqual(writeProxyHeader(CLIENT_V6, DESTINATION_V6), hex(V6))
})

const anyIp = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(ipFromBytes)
const anyAddress = fc.record({ ip: anyIp, port: fc.nat({ max: 65_535 }) }, { noNullPrototype: true })

test('what is written is read back, whatever the families, and fits 72 bytes', (t) => {
  fc.assert(
    fc.property(anyAddress, anyAddress, fc.uint8Array({ maxLength: 40 }), (client, destination, rest) => {
      const header = writeProxyHeader(client, destination)
      t.true(header.length <= 72)
      t.deepEqual(readProxyHeader(Uint8Array.of(...header, ...rest)), {
        kind: 'header',
        client,
        destination,
        headerBytes: header.length,
      })
      assertPrefixesWantMore(t, header)
    }),
    { numRuns: 500 },
  )
})

test('random bytes never throw', (t) => {
  const start = fc.constantFrom(
    '',
    '0d0a',
    SIGNATURE,
    `${SIGNATURE}21`,
    `${SIGNATURE}2111`,
    `${SIGNATURE}2000`,
  )
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 60 }), (first, rest) => {
      const bytes = Uint8Array.of(...hex(first), ...rest)
      const read = readProxyHeader(bytes)
      const longer = readProxyHeader(Uint8Array.of(...bytes, ...rest))
      if (read.kind !== 'more') t.deepEqual(longer, read, 'more bytes change no answer')
      if (read.kind === 'more')
        t.true(read.atLeastBytes > bytes.length && read.atLeastBytes <= MAX_PROXY_HEADER_BYTES)
      else if (read.kind === 'header') t.true(read.headerBytes >= 16 && read.headerBytes <= bytes.length)
      else t.true(read.because !== '')
    }),
    { numRuns: 3_000 },
  )
})

function assertPrefixesWantMore(
  t: { true(value: boolean, message?: string): void },
  header: Uint8Array,
): void {
  for (let length = 0; length < header.length; length++) {
    const read = readProxyHeader(header.subarray(0, length))
    const good = read.kind === 'more' && read.atLeastBytes > length && read.atLeastBytes <= header.length
    t.true(good, `${length} of ${header.length} bytes: ${JSON.stringify(read)}`)
  }
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

function toHex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}
