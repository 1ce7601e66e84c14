// Addresses as canonical text: what is read, what is refused, and that equal addresses are equal strings.

import test from 'ava'
import * as fc from 'fast-check'
import {
  compareIp,
  familyOf,
  hostPort,
  ipBytes,
  ipFromBytes,
  ipv4Number,
  isLoopback,
  parseIp,
} from '#agent/model/ip.ts'
import { ip } from '../support/build.ts'

const READ: readonly (readonly [string, string])[] = [
  ['10.0.0.1', '10.0.0.1'],
  ['172.30.0.041', '172.30.0.41'],
  ['010.000.0000.0001', '10.0.0.1'],
  ['255.255.255.255', '255.255.255.255'],
  ['::', '::'],
  ['::1', '::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['FD00::ABCD', 'fd00::abcd'],
  ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:0a00:0001', '10.0.0.1'],
  ['::10.0.0.1', '::a00:1'],
]

for (const [text, want] of READ) test(`reads ${text}`, (t) => t.is(String(parseIp(text)), want))

const REFUSED: readonly string[] = [
  '',
  ' ',
  '10.0.0',
  '10.0.0.1.2',
  '10.0.0.256',
  '10.0.0.-1',
  '10.0.0.0x1',
  '10.0.0.1 ',
  ' 10.0.0.1',
  '10.0.0.1\n',
  '10..0.1',
  '10.0.0.00001',
  '１０.0.0.1',
  '1e1.0.0.1',
  'localhost',
  ':',
  ':::',
  '1',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1:2:3:4:5:6:7:8::',
  '1::2::3',
  ':1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:',
  'fd00::12345',
  'fd00::g',
  'fe80::1%eth0',
  '[::1]',
  '::1/128',
  '10.0.0.1::',
  '1.2.3.4:80',
  '::ffff:10.0.0.256',
  '::10.0.0.1:1',
  '1:2:3:4:5:6:7:10.0.0.1',
  ':'.repeat(1_000_000),
  `${'0'.repeat(1_000_000)}.0.0.1`,
]

for (const text of REFUSED)
  test(`refuses ${JSON.stringify(text.slice(0, 40))}${text.length > 40 ? '…' : ''}`, (t) =>
    t.is(parseIp(text), undefined))

const arbitraryBytes = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .filter((bytes) => bytes.length === 4 || !isMapped(bytes))

test('bytes to text to bytes is identity, and the text is canonical', (t) => {
  fc.assert(
    fc.property(arbitraryBytes, (bytes) => {
      const text = ipFromBytes(bytes)
      return parseIp(text) === text && ipBytes(text).join() === bytes.join()
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

test('comparison orders by number, IPv4 first', (t) => {
  const sorted = ['9.0.0.1', '10.0.0.2', '10.0.0.10', '192.0.0.0', '::1', '2::', '10::'].map(ip)
  t.deepEqual(sorted.toReversed().sort(compareIp), sorted)
  fc.assert(
    fc.property(arbitraryBytes, arbitraryBytes, (a, b) => {
      const left = ipFromBytes(a)
      const right = ipFromBytes(b)
      const order = compareIp(left, right)
      return Math.sign(order) === -Math.sign(compareIp(right, left)) && (order === 0) === (left === right)
    }),
  )
})

test('an IPv4 address as a number', (t) => {
  t.is(ipv4Number(ip('0.0.0.0')), 0)
  t.is(ipv4Number(ip('1.2.3.4')), 0x01020304)
  t.is(ipv4Number(ip('255.255.255.255')), 0xffffffff)
})

test('family, loopback and endpoint text', (t) => {
  t.is(familyOf(ip('10.0.0.1')), 'IPv4')
  t.is(familyOf(ip('::1')), 'IPv6')
  t.is(familyOf(ip('::ffff:10.0.0.1')), 'IPv4')
  t.true(['127.0.0.1', '127.255.0.1', '::1'].every((text) => isLoopback(ip(text))))
  t.false(['128.0.0.1', '12.7.0.1', '::2', '127::1'].some((text) => isLoopback(ip(text))))
  t.is(hostPort(ip('10.0.0.1'), 80), '10.0.0.1:80')
  t.is(hostPort(ip('fd00::1'), 80), '[fd00::1]:80')
})

function isMapped(bytes: Uint8Array): boolean {
  return ipFromBytes(bytes).includes('.')
}
