// Ranges as canonical text: rows 12 and 26 of the parity table need all of this.

import test from 'ava'
import * as fc from 'fast-check'
import {
  cidrContains,
  cidrFamily,
  hostCidr,
  networkOf,
  parseCidr,
  prefixLengthOf,
} from '#agent/model/cidr.ts'
import { ipBytes, ipFromBytes } from '#agent/model/ip.ts'
import { cidr, ip } from '../support/build.ts'

const READ: readonly (readonly [string, string])[] = [
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['10.1.2.3/31', '10.1.2.2/31'],
  ['10.1.2.3/32', '10.1.2.3/32'],
  ['1.2.3.4/0', '0.0.0.0/0'],
  [' 010.0.0.0/008\t', '10.0.0.0/8'],
  ['fd00:1:2:3::5/64', 'fd00:1:2:3::/64'],
  ['FD00::ffff/113', 'fd00::8000/113'],
  ['::/0', '::/0'],
]

for (const [text, want] of READ)
  test(`reads ${JSON.stringify(text)}`, (t) => t.is(String(parseCidr(text)), want))

const REFUSED: readonly string[] = [
  '',
  '/',
  '10.0.0.0',
  '10.0.0.0/',
  '/8',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  '10.0.0.0/8.0',
  '10.0.0.0/ 8',
  '10.0.0.0/00008',
  '10.0.0.0/1e1',
  '10.0.0.0/255.0.0.0',
  '::ffff:10.0.0.0/104',
  '10.0.0/24',
  'fe80::%eth0/64',
]

for (const text of REFUSED) test(`refuses ${JSON.stringify(text)}`, (t) => t.is(parseCidr(text), undefined))

const CONTAINS: readonly (readonly [string, string, boolean])[] = [
  ['10.0.0.0/8', '10.255.255.255', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['128.0.0.0/1', '200.0.0.1', true],
  ['128.0.0.0/1', '127.0.0.1', false],
  ['192.168.0.10/32', '192.168.0.10', true],
  ['192.168.0.10/32', '192.168.0.11', false],
  ['10.0.0.0/31', '10.0.0.1', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '10.0.0.1', false],
  ['::/0', 'fd00::1', true],
  ['fd00::8000/113', 'fd00::ffff', true],
  ['fd00::8000/113', 'fd00::7fff', false],
  ['fd00::1/128', 'fd00::1', true],
]

for (const [range, address, want] of CONTAINS)
  test(`${range} ${want ? 'has' : 'does not have'} ${address}`, (t) =>
    t.is(cidrContains(cidr(range), ip(address)), want))

const arbitraryRange = fc.tuple(fc.oneof(fc.constant(4), fc.constant(16)), fc.nat()).chain(([size, length]) =>
  fc.record({
    bytes: fc
      .uint8Array({ minLength: size, maxLength: size })
      .map((bytes) => (size === 16 ? sixth(bytes) : bytes)),
    length: fc.constant(length % (size * 8 + 1)),
    // Differs from the range's address in this bit.
    bit: fc.nat({ max: size * 8 - 1 }),
  }),
)

test('an address with one bit changed is inside exactly if the bit is a host bit', (t) => {
  fc.assert(
    fc.property(arbitraryRange, ({ bytes, length, bit }) => {
      const range = cidr(`${ipFromBytes(bytes)}/${length}`)
      const other = Uint8Array.from(bytes, (byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte))
      return (
        parseCidr(range) === range &&
        cidrContains(range, ipFromBytes(bytes)) &&
        cidrContains(range, networkOf(range)) &&
        cidrContains(range, ipFromBytes(other)) === bit >= length
      )
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

test('parts of a range', (t) => {
  t.is(prefixLengthOf(cidr('10.0.0.0/8')), 8)
  t.is(cidrFamily(cidr('10.0.0.0/8')), 'IPv4')
  t.is(cidrFamily(cidr('::/0')), 'IPv6')
  t.is(String(hostCidr(ip('10.0.0.1'))), '10.0.0.1/32')
  t.is(String(hostCidr(ip('fd00::1'))), 'fd00::1/128')
  t.is(ipBytes(networkOf(cidr('fd00::/16'))).length, 16)
})

/** Keeps random IPv6 addresses away from the IPv4-mapped range, also with one bit changed. */
function sixth(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, i) => (i === 1 ? byte | 0x18 : byte))
}
