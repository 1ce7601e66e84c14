// The connection table: entries as a kernel (6.18) listed them, and what is made of them.

import test from 'ava'

import { conntrack } from '#agent/kernel/conntrack.ts'
import type { NetlinkSocket } from '#agent/kernel/native-types.ts'
import { decodeEntry, deleteEntry, dumpEntries } from '#agent/kernel/netlink/conntrack.ts'
import { bytes, hex } from './netlink/hex.ts'

/** 127.0.0.1:40000 to 10.96.0.10:80, DNATed to 127.0.0.1:8080, with our mark. */
const STEERED =
  'd4000000000122000100000032490000020000003400018014000180080001007f000001080002000a60000a1c0002800500010006000000060002009c40000006000300005000003400028014000180080001007f000001080002007f0000011c0002800500010006000000060002001f900000060003009c40000008000300000001ae080008000053200008000c004e5514a808000b0000000001080007000006977f300004802c0001800500010003000000050002000a000000050003000a00000006000400230000000600050023000000'
const UDP6 =
  'd40000000001220002000000324900000a0000004c0001802c000180140003000000000000000000000000000000000114000400000000000000000000000000000000011c0002800500010011000000060002009c41000006000300003500004c0002802c000180140003000000000000000000000000000000000114000400000000000000000000000000000000011c00028005000100110000000600020000350000060003009c4100000800030000000008080008000000100008000c00eec663e508000b0000000001080007000000001d'

test('a TCP connection with DNAT and a mark', (t) => {
  t.deepEqual<unknown, unknown>(decodeEntry(bytes(STEERED)), {
    family: 'IPv4',
    protocol: 6,
    original: { source: '127.0.0.1', sourcePort: 40000, destination: '10.96.0.10', destinationPort: 80 },
    reply: { source: '127.0.0.1', sourcePort: 8080, destination: '127.0.0.1', destinationPort: 40000 },
    status: { seenReply: true, assured: true, sourceNat: false, destinationNat: true },
    tcpState: 'ESTABLISHED',
    mark: 0x532000,
    zone: 0,
    timeoutS: 431_999,
    bytes: undefined,
    id: 1_314_198_696,
  })
})

test('bytes of both directions, where the kernel counts', (t) => {
  const counters = (type: string, count: string): string =>
    `1c00${type}800c00010000000000000000030c000200${count.padStart(16, '0')}`
  const counted = `0c010000${STEERED.slice(8)}${counters('09', '4b0')}${counters('0a', '100000000')}`
  t.is(decodeEntry(bytes(counted))?.bytes, 1200 + 2 ** 32)
})

test('an IPv6 UDP flow without an answer', (t) => {
  t.like(decodeEntry(bytes(UDP6)), {
    family: 'IPv6',
    protocol: 17,
    mark: 0x1000,
    tcpState: undefined,
    status: { seenReply: false, assured: false, sourceNat: false, destinationNat: false },
  })
})

test('requests: list by mark, delete one', (t) => {
  t.is(
    hex(dumpEntries('IPv4', { value: 0x532000, mask: 0xff3000 })),
    '240000000101010300000000000000000200000008000800005320000800150000ff3000',
  )
  const entry = decodeEntry(bytes(STEERED))
  t.is(
    entry && hex(deleteEntry(entry)),
    '50000000020101000000000000000000020000003400018014000180080001007f000001080002000a60000a1c0002800500010006000000060002009c400000060003000050000008000c004e5514a8',
  )
})

test('both families are read, and a kernel that ignores the filter changes nothing', (t) => {
  const table = conntrack(answering([STEERED], [UDP6]))
  t.deepEqual(
    table.entries().map(({ protocol }) => protocol),
    [6, 17],
  )
  t.deepEqual(
    table.entries({ mark: { value: 0x532000, mask: 0xff3000 } }).map(({ protocol }) => protocol),
    [6],
  )
})

test('a refusal is an error, an entry that has ended is not', (t) => {
  const refusing = conntrack({ request: () => ({ errno: 1, messages: [] }), close: () => undefined })
  t.throws(() => refusing.entries(), { message: 'read the conntrack table: operation not permitted (EPERM)' })
  const gone = conntrack({ request: () => ({ errno: 2, messages: [] }), close: () => undefined })
  const entry = decodeEntry(bytes(STEERED))
  t.false(entry === undefined || gone.delete(entry))
})

/** Answers a dump by the family in its header. */
function answering(v4: readonly string[], v6: readonly string[]): NetlinkSocket {
  return {
    request: (message) => ({ errno: 0, messages: (message[16] === 2 ? v4 : v6).map(bytes) }),
    close: () => undefined,
  }
}
