// The shapes that TypeScript and the BPF program share.

import { readFileSync } from 'node:fs'

import * as fc from 'fast-check'
import test from 'ava'

import { ipFromBytes } from '#agent/model/ip.ts'
import {
  decodeSteerKey,
  encodeSteerKey,
  STEER_KEY_BYTES,
  STEER_MAX_FRONTENDS,
} from '#agent/kernel/steer-maps.ts'
import { hex } from './netlink/hex.ts'

for (const [name, ip, text] of [
  ['IPv4 as a mapped address', '10.96.0.10', '00000000000000000000ffff0a60000a00500000'],
  ['IPv6', 'fd96::10', 'fd96000000000000000000000000001000500000'],
  ['a NodePort', undefined, '0000000000000000000000000000000000500000'],
] as const) {
  test(`key of ${name}, port 80 in network order`, (t) => {
    t.is(hex(encodeSteerKey({ ip: ip as never, port: 80 })), text)
  })
}

test('every key survives the way there and back', (t) => {
  const address = fc.oneof(
    fc.constant(undefined),
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes),
    fc
      .uint8Array({ minLength: 16, maxLength: 16 })
      .filter((b) => b.some((byte) => byte !== 0))
      .map(ipFromBytes),
  )
  fc.assert(
    fc.property(address, fc.integer({ min: 1, max: 65_535 }), (ip, port) => {
      t.deepEqual(decodeSteerKey(encodeSteerKey({ ip, port })), { ip, port })
    }),
  )
})

test('sizes agree with the header of the program', (t) => {
  const header = readFileSync(new URL('../../native/bpf/maps.h', import.meta.url), 'utf8')
  t.regex(header, /__u8 address\[16\];\s+__be16 port;\s+__u16 padding;/)
  t.is(STEER_KEY_BYTES, 16 + 2 + 2)
  t.regex(header, new RegExp(`max_entries, ${STEER_MAX_FRONTENDS}\\)`))
  t.regex(header, /STEER_SLOT_IPV4 = 0, STEER_SLOT_IPV6 = 1/)
  t.regex(header, /STEER_COUNT_STEERED = 0, STEER_COUNT_NO_LISTENER = 1/)
})
