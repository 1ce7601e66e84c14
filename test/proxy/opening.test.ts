// What the first bytes of a connection say, given in pieces of any size, in time or not.

import test from 'ava'
import * as fc from 'fast-check'
import type { Peeked } from '#agent/proxy/decision/decision.ts'
import { writeProxyHeader } from '#agent/proxy/decision/proxy-protocol.ts'
import { readOpening } from '#agent/proxy/opening.ts'
import { realHello } from '../support/tls-hello.ts'
import { ip } from './views.ts'

const CLIENT = { ip: ip('203.0.113.9'), port: 4711 }
const HEADER = writeProxyHeader(CLIENT, { ip: ip('198.51.100.1'), port: 443 })
const HELLO = await realHello({ servername: 'api.example.com' })
const BOTH = Uint8Array.from([...HEADER, ...HELLO])
const OTHER = Buffer.from('SSH-2.0-client\r\n')

const HEADER_SAID = { client: CLIENT, headerBytes: HEADER.length }
const NAME_SAID = 'api.example.com'

const ROWS = [
  {
    name: 'a header alone',
    bytes: HEADER,
    over: false,
    wanted: { proxyHeader: true, tls: false },
    peeked: { proxy: HEADER_SAID },
    looks: ['proxy-header read'],
  },
  {
    name: 'a server name alone',
    bytes: HELLO,
    over: false,
    wanted: { proxyHeader: false, tls: true },
    peeked: { tls: NAME_SAID },
    looks: ['tls-hello read'],
  },
  {
    name: 'a server name behind a header',
    bytes: BOTH,
    over: false,
    wanted: { proxyHeader: true, tls: true },
    peeked: { proxy: HEADER_SAID, tls: NAME_SAID },
    looks: ['proxy-header read', 'tls-hello read'],
  },
  {
    name: 'a header, and then no TLS',
    bytes: Uint8Array.from([...HEADER, ...OTHER]),
    over: false,
    wanted: { proxyHeader: true, tls: true },
    peeked: { proxy: HEADER_SAID, tls: 'other' },
    looks: ['proxy-header read', 'tls-hello malformed'],
  },
  {
    name: 'a header, and then silence',
    bytes: HEADER,
    over: true,
    wanted: { proxyHeader: true, tls: true },
    peeked: { proxy: HEADER_SAID, tls: 'other' },
    looks: ['proxy-header read', 'tls-hello incomplete'],
  },
  {
    name: 'no header where one is wanted; what follows is not looked at',
    bytes: HELLO,
    over: false,
    wanted: { proxyHeader: true, tls: true },
    peeked: {},
    looks: ['proxy-header malformed'],
  },
  {
    name: 'half a header, and no more to come',
    bytes: HEADER.subarray(0, 20),
    over: true,
    wanted: { proxyHeader: true, tls: false },
    peeked: {},
    looks: ['proxy-header incomplete'],
  },
] as const

for (const { name, bytes, over, wanted, peeked, looks } of ROWS)
  test(name, (t) => {
    const opening = readOpening(bytes, over, wanted)
    if (opening.kind === 'more') return t.fail('it wants more')
    t.deepEqual(said(opening.peeked), peeked)
    t.deepEqual(
      opening.looks.map(({ lookedFor, result }) => `${lookedFor} ${result}`),
      looks,
    )
  })

test('of every part it wants more than there is, and never more than there will be', (t) => {
  for (let length = 0; length < BOTH.length; length++) {
    const opening = readOpening(BOTH.subarray(0, length), false, { proxyHeader: true, tls: true })
    if (opening.kind !== 'more') return t.fail(`it is content with ${length} bytes`)
    if (opening.atLeastBytes <= length || opening.atLeastBytes > BOTH.length)
      return t.fail(`with ${length} bytes it waits for ${opening.atLeastBytes}`)
  }
  t.pass()
})

test('hostile bytes never throw, and once no more come there is always an answer', (t) => {
  const wanted = fc.record({ proxyHeader: fc.boolean(), tls: fc.boolean() })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(HEADER.length), wanted, (bytes, keep, what) => {
      const all = Uint8Array.from([...HEADER.subarray(0, keep), ...bytes])
      readOpening(all, false, what)
      return readOpening(all, true, what).kind === 'read'
    }),
  )
  t.pass()
})

/** Without the reasons for what is not there. */
function said({ proxy, tls }: Peeked): object {
  return {
    ...(proxy === undefined ? {} : { proxy }),
    ...(tls === undefined ? {} : { tls: tls.kind === 'hello' ? tls.serverName : tls.kind }),
  }
}
