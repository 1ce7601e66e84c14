// Bytes that a kernel (6.18) accepted as they stand, and answers that it gave. The command above each is what
// iproute2 would be told.

import test from 'ava'

import {
  addRoute,
  addRule,
  decodeRoute,
  decodeRule,
  dumpRules,
  MAIN_TABLE,
  type LoopbackRoute,
  type Rule,
} from '#agent/kernel/netlink/route.ts'
import { markedRules } from '#agent/datapath/steer/policy-routing.ts'
import type { Ip } from '#agent/model/ip.ts'
import { bytes, hex } from './hex.ts'

const RULES: Readonly<Record<string, readonly [rule: Rule, request: string, listed: string]>> = {
  'ip rule add pref 5388 fwmark 0x533000/0xff3000 table 5390': [
    markedRules('IPv4')[0] as Rule,
    '3c000000200001060000000000000000020000000000000100000000080006000c15000008000a0000305300080010000030ff0008000f000e150000',
    '4c00000020000200050000001c47000002000000fc0000010000000008000f000e15000008000e00ffffffff0500150000000000080006000c15000008000a0000305300080010000030ff00',
  ],
  'ip rule add pref 5389 fwmark 0x532000/0xff3000 iif lo goto 5391': [
    markedRules('IPv4')[1] as Rule,
    '44000000200001060000000000000000020000000000000200000000080006000d15000008000a0000205300080010000030ff00070003006c6f0000080004000f150000',
    '5c00000020000200050000001c47000002000000000000020000000008000f000000000008000e00ffffffff0500150000000000070003006c6f0000080006000d15000008000a0000205300080010000030ff00080004000f150000',
  ],
  'ip rule add pref 5390 fwmark 0x532000/0xff3000 table 5390': [
    markedRules('IPv4')[2] as Rule,
    '3c000000200001060000000000000000020000000000000100000000080006000e15000008000a0000205300080010000030ff0008000f000e150000',
    '4c00000020000200050000001c47000002000000fc0000010000000008000f000e15000008000e00ffffffff0500150000000000080006000e15000008000a0000205300080010000030ff00',
  ],
  'ip rule add pref 5391 nop': [
    markedRules('IPv4')[3] as Rule,
    '24000000200001060000000000000000020000000000000300000000080006000f150000',
    '3c00000020000200050000001c47000002000000000000030000000008000f000000000008000e00ffffffff0500150000000000080006000f150000',
  ],
}

for (const [command, [rule, request, listed]] of Object.entries(RULES)) {
  test(command, (t) => {
    t.is(hex(addRule(rule)), request)
    t.deepEqual(decodeRule(bytes(listed)), rule)
  })
}

const ROUTES: Readonly<Record<string, readonly [route: LoopbackRoute, request: string, listed: string]>> = {
  'ip -6 route add local default dev lo table 5390': [
    { family: 'IPv6', table: 5390, type: 'local', destination: undefined },
    '2c0000001800010600000000000000000a0000000004fe0200000000080004000100000008000f000e150000',
    '6000000018000200080000001c4700000a000000fc0400020000000008000f000e1500000800060000040000080004000100000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000',
  ],
  'ip route add 169.254.53.90 dev lo': [
    { family: 'IPv4', table: MAIN_TABLE, type: 'unicast', destination: '169.254.53.90' as Ip },
    '34000000180001060000000000000000022000000004fd010000000008000100a9fe355a080004000100000008000f00fe000000',
    '3400000018000200090000001c47000002200000fe04fd010000000008000f00fe00000008000100a9fe355a0800040001000000',
  ],
}

for (const [command, [route, request, listed]] of Object.entries(ROUTES)) {
  test(command, (t) => {
    t.is(hex(addRoute(route)), request)
    t.deepEqual(decodeRoute(bytes(listed)), route)
  })
}

test('what is not ours to read is left out', (t) => {
  const range =
    '3c00000018000200090000001c47000002080000ff02fe020000000008000f00ff000000080001007f000000080007007f0000010800040001000000'
  const broadcast =
    '3c00000018000200090000001c47000002200000ff02fd030000000008000f00ff000000080001007fffffff080007007f0000010800040001000000'
  t.is(decodeRoute(bytes(range)), undefined, '127.0.0.0/8')
  t.is(decodeRoute(bytes(broadcast)), undefined, 'broadcast 127.255.255.255')
  t.is(decodeRoute(dumpRules('IPv4')), undefined, 'another message')
  t.is(decodeRule(bytes(range)), undefined, 'another message')
})
