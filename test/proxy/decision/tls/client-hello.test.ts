// The server name of a ClientHello: real clients, hellos made by hand, hellos cut anywhere, and garbage.

import test from 'ava'
import * as fc from 'fast-check'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { MAX_HELLO_BYTES, readClientHello } from '#agent/proxy/decision/tls/client-hello.ts'
import {
  extension,
  handshake,
  latin1,
  realHello,
  records,
  serverName,
  vector16,
} from '../../../support/tls-hello.ts'

const OPENSSL = '/usr/bin/openssl'
const LONG = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`

const NODE_CLIENTS: readonly (readonly [string, ConnectionOptions, string | undefined])[] = [
  ['with a server name', { servername: 'shop.example.com' }, 'shop.example.com'],
  ['with capital letters', { servername: 'Shop.Example.COM' }, 'shop.example.com'],
  ['with TLS 1.2 at the most', { servername: 'old.test', maxVersion: 'TLSv1.2' }, 'old.test'],
  ['with ALPN', { servername: 'grpc.test', ALPNProtocols: ['h2', 'http/1.1'] }, 'grpc.test'],
  ['with an encoded name', { servername: 'xn--bcher-kva.example' }, 'xn--bcher-kva.example'],
  ['with the longest name', { servername: LONG }, LONG],
  ['without a server name', {}, undefined],
]

for (const [title, options, want] of NODE_CLIENTS)
  test(`reads the hello of Node's client ${title}`, async (t) => {
    const hello = await realHello(options)
    t.deepEqual(readClientHello(hello), { kind: 'hello', serverName: want })
    assertPrefixesWantMore(t, hello)
  })

const OPENSSL_CLIENTS: readonly (readonly [string, readonly string[], string | undefined])[] = [
  ['with a server name', ['-servername', 'a.example.org'], 'a.example.org'],
  ['without', ['-noservername'], undefined],
  ['of TLS 1.2', ['-servername', 'b.example.org', '-tls1_2'], 'b.example.org'],
  [
    'cut into records',
    [
      '-servername',
      'c.example.org',
      '-max_send_frag',
      '512',
      '-alpn',
      'p'.repeat(200).concat(',q'.repeat(400)),
    ],
    'c.example.org',
  ],
]

for (const [title, options, want] of OPENSSL_CLIENTS) {
  const run = existsSync(OPENSSL) ? test : test.skip
  run(`reads the hello of openssl's client ${title}`, async (t) => {
    const hello = await opensslHello(options)
    t.deepEqual(readClientHello(hello), { kind: 'hello', serverName: want })
    assertPrefixesWantMore(t, hello)
    if (title === 'cut into records') t.true(uint16(hello, 3) < hello.length - 5, 'it came as one record')
  })
}

const GREASE = extension(0x1a1a, [])
const KNOWN = extension(0x002b, [2, 3, 4])

const READ: readonly (readonly [string, Uint8Array, string | undefined])[] = [
  ['no extensions at all', records(handshake({})), undefined],
  ['an empty list of extensions', records(handshake({ extensions: [] })), undefined],
  ['GREASE before the name', hello(GREASE, serverName('a.b')), 'a.b'],
  ['other extensions before and after', hello(KNOWN, serverName('a.b'), extension(0x0a0a, [0])), 'a.b'],
  ['a dot at the end', hello(serverName('a.b.')), 'a.b'],
  ['one label', hello(serverName('localhost')), 'localhost'],
  ['an underscore', hello(serverName('_acme.a_b.test')), '_acme.a_b.test'],
  ['a name of another type before the host name', hello(names([9, 1, 2], [0, ...latin1('a.b')])), 'a.b'],
  ['names of other types alone', hello(names([9, 1, 2])), undefined],
  [
    'a session id',
    records(handshake({ sessionId: Array(32).fill(1), extensions: [serverName('a.b')] })),
    'a.b',
  ],
  ['more bytes behind it', Uint8Array.of(...hello(serverName('a.b')), 23, 3, 3, 0, 1, 9), 'a.b'],
  [
    'another message in its record',
    records([...handshake({ extensions: [serverName('a.b')] }), 4, 0, 0, 0]),
    'a.b',
  ],
  [
    'the name of an outer hello (ECH)',
    hello(extension(0xfe0d, [0, 1, 2]), serverName('public.test')),
    'public.test',
  ],
]

for (const [title, bytes, want] of READ)
  test(`reads a hello with ${title}`, (t) =>
    t.deepEqual(readClientHello(bytes), { kind: 'hello', serverName: want }))

const OTHER: readonly (readonly [string, Uint8Array | readonly number[], RegExp])[] = [
  ['HTTP', latin1('GET / HTTP/1.1\r\n\r\n'), /begins with the byte 0x47, not with a TLS handshake record/],
  ['its first byte', latin1('G'), /0x47/],
  ['a hello of SSL 2', [0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10], /0x80/],
  ['an alert', [21, 3, 3, 0, 2, 2, 40], /0x15/],
  ['another major version', [22, 2], /record has the major version 2, not 3/],
  ['a ServerHello', [22, 3, 3, 0, 1, 2], /message is of type 2, not a ClientHello/],
  ['an empty record', [22, 3, 3, 0, 0], /empty handshake record/],
  ['an empty record inside', [22, 3, 3, 0, 1, 1, 22, 3, 3, 0, 0], /empty handshake record/],
  ['an alert inside', [22, 3, 3, 0, 1, 1, 21], /record of type 21 interrupts/],
  ['a record beyond 2^14', [22, 3, 3, 0x40, 0x01], /record of 16385 bytes/],
  ['16 MB announced', [22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff], /does not end within 16384 bytes/],
  ['a body that ends early', records([1, 0, 0, 5, 3, 3, 0, 0, 0]), /ClientHello ends too early/],
  [
    'another major version in its body',
    records(handshake({ major: 2 })),
    /ClientHello has the major version 2/,
  ],
  ['a long session id', records(handshake({ sessionId: Array(33).fill(0) })), /session id has 33 bytes/],
  ['no ciphers', records(handshake({ ciphers: [] })), /list of ciphers has 0 bytes/],
  ['half a cipher', records(handshake({ ciphers: [1, 2, 3] })), /list of ciphers has 3 bytes/],
  ['no compression method', records(handshake({ compressions: [] })), /no compression method/],
  [
    'bytes behind its extensions',
    wrapped([...handshake({ extensions: [] }).slice(4), 0]),
    /list of extensions has/,
  ],
  [
    'extensions cut off',
    wrapped([...handshake({}).slice(4), 0, 9, 0, 0]),
    /list of extensions has the wrong/,
  ],
  ['an extension cut off', hello([0, 0, 0, 200, 1]), /extension ends behind/],
  ['two server_name extensions', hello(serverName('a.b'), serverName('a.b')), /two server_name extensions/],
  ['two host names', hello(serverName('a.b', 'c.d')), /names two hosts/],
  ['an empty list of names', hello(extension(0, [0, 0])), /list of server names has the wrong length/],
  ['an empty server_name', hello(extension(0, [])), /list of server names has the wrong length/],
  ['a list of names cut off', hello(extension(0, [0, 9, 0, 0, 1, 97])), /list of server names has the wrong/],
  ['a name cut off', hello(extension(0, vector16([0, 0, 9, 97]))), /server name ends behind/],
  ['an empty name', hello(serverName('')), /"" is not a host name/],
  ['a dot alone', hello(serverName('.')), /"." is not a host name/],
  ['an empty label', hello(serverName('a..b')), /"a..b" is not a host name/],
  ['a zero byte in the name', hello(serverName('a.b\0.c')), /is not a host name/],
  ['a space in the name', hello(serverName('a b')), /is not a host name/],
  ['a wildcard', hello(serverName('*.test')), /is not a host name/],
  ['letters beyond ASCII', hello(serverName('bücher.test')), /is not a host name/],
  ['a label of 64', hello(serverName('a'.repeat(64))), /is not a host name/],
  ['a name of 254', hello(serverName(`${LONG}e`)), /is not a host name/],
  ['a name of 10000', hello(serverName('a'.repeat(10_000))), /server name has 10000 bytes/],
  ['a label that begins with a hyphen', hello(serverName('-a.b')), /is not a host name/],
  ['an IPv4 address', hello(serverName('10.0.0.1')), /10.0.0.1 is an address/],
  ['an IPv6 address', hello(serverName('fd00::1')), /is not a host name/],
]

for (const [title, bytes, want] of OTHER)
  test(`takes for something else: ${title}`, (t) => {
    const read = readClientHello(Uint8Array.from(bytes))
    t.is(read.kind, 'other')
    if (read.kind === 'other') t.regex(read.because, want)
  })

test('a first byte tells other protocols from TLS; no byte at all asks for one', (t) => {
  t.deepEqual(readClientHello(new Uint8Array()), { kind: 'more', atLeastBytes: 1 })
  for (let byte = 0; byte < 256; byte++)
    t.is(readClientHello(Uint8Array.of(byte)).kind, byte === 22 ? 'more' : 'other')
})

test('the largest hello is read, a byte more is not', (t) => {
  const around = hello(serverName('a.b'), extension(21, [])).length
  const padded = (size: number): Uint8Array =>
    hello(serverName('a.b'), extension(21, Array(size - around).fill(0)))
  t.is(padded(MAX_HELLO_BYTES).length, MAX_HELLO_BYTES)
  t.deepEqual(readClientHello(padded(MAX_HELLO_BYTES)), { kind: 'hello', serverName: 'a.b' })
  t.is(readClientHello(padded(MAX_HELLO_BYTES + 1)).kind, 'other')
})

test('a hello cut into records anywhere is read, and each of its prefixes wants more', (t) => {
  const message = handshake({ extensions: [GREASE, serverName('a.example.com'), KNOWN] })
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 200 }), (sizes) => {
      const bytes = records(message, sizes)
      t.deepEqual(readClientHello(bytes), { kind: 'hello', serverName: 'a.example.com' })
      assertPrefixesWantMore(t, bytes)
    }),
    { numRuns: 50 },
  )
})

test('a reader that waits for what it is told gets there in few steps, even with a byte in each record', async (t) => {
  const message = [...(await realHello({ servername: 'a.example.com' }))].slice(5)
  const bytes = records(message, Array(message.length).fill(1))
  let have = 0
  let steps = 0
  for (; ; steps++) {
    const read = readClientHello(bytes.subarray(0, have))
    if (read.kind !== 'more') {
      t.deepEqual(read, { kind: 'hello', serverName: 'a.example.com' })
      break
    }
    have = read.atLeastBytes
  }
  t.true(steps < 60, `${steps} steps for ${bytes.length} bytes`)
})

test('changed bytes never throw, never ask for what is there, never give a name that is none or two answers', async (t) => {
  const real = await realHello({ servername: 'a.example.com' })
  const change = fc.record({
    at: fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: real.length - 1 })),
    to: fc.nat({ max: 255 }),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.nat({ max: real.length }), (changes, length) => {
      const bytes = Uint8Array.from(real)
      for (const { at, to } of changes) bytes[at] = to
      const first = bytes.subarray(0, length)
      assertSound(t, first)
      assertSound(t, bytes)
      // Whoever answered once need not be asked again; another reason may be found first.
      const early = readClientHello(first)
      if (early.kind === 'hello') t.deepEqual(readClientHello(bytes), early)
      if (early.kind === 'other') t.is(readClientHello(bytes).kind, 'other')
    }),
    { numRuns: 2_000 },
  )
})

test('random bytes never throw', (t) => {
  const start = fc.constantFrom([], [22, 3, 1], [22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3])
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 400 }), (first, rest) =>
      assertSound(t, Uint8Array.of(...first, ...rest)),
    ),
    { numRuns: 2_000 },
  )
})

interface Assert {
  true(value: boolean, message?: string): void
  fail(message: string): void
}

/** One assertion in all: a real hello has hundreds of prefixes. */
function assertPrefixesWantMore(t: Assert, bytes: Uint8Array): void {
  for (let length = 0; length < bytes.length; length++) {
    const read = readClientHello(bytes.subarray(0, length))
    if (read.kind !== 'more') return t.fail(`${length} of ${bytes.length} bytes: ${JSON.stringify(read)}`)
    if (read.atLeastBytes <= length || read.atLeastBytes > bytes.length)
      return t.fail(`${length} of ${bytes.length} bytes want ${read.atLeastBytes}`)
  }
  t.true(true)
}

function assertSound(t: Assert, bytes: Uint8Array): void {
  const read = readClientHello(bytes)
  if (read.kind === 'more') t.true(read.atLeastBytes > bytes.length && read.atLeastBytes <= MAX_HELLO_BYTES)
  else if (read.kind === 'other') t.true(read.because !== '')
  else t.true(read.serverName === undefined || /^[a-z0-9_.-]{1,253}$/.test(read.serverName))
}

function hello(...extensions: readonly (readonly number[])[]): Uint8Array {
  return records(handshake({ extensions }))
}

/** A handshake message with this body, whatever it is. */
function wrapped(body: readonly number[]): Uint8Array {
  return records([1, 0, ...vector16(body)])
}

/** server_name with names of these types. */
function names(...typed: readonly (readonly [number, ...number[]])[]): number[] {
  return extension(0, vector16(typed.flatMap(([type, ...name]) => [type, ...vector16(name)])))
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
}

/** What openssl's client sends on loopback until it waits for an answer. */
async function opensslHello(options: readonly string[]): Promise<Uint8Array> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = spawn(OPENSSL, ['s_client', '-connect', `127.0.0.1:${port}`, ...options], {
    stdio: 'ignore',
  })
  const exited = once(client, 'exit')
  try {
    const [socket] = await once(server, 'connection')
    const chunks: Buffer[] = []
    for await (const chunk of socket) {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      if (readClientHello(bytes).kind !== 'more') return bytes
    }
    throw new Error('openssl closed the connection in the middle of its hello')
  } finally {
    server.close()
    client.kill()
    await exited
  }
}
