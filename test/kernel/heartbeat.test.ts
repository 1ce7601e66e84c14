// What a heartbeat makes of the kernel's answers. That the kernel honours it is test/packet/steer-sk-lookup.test.ts.

import test from 'ava'

import { openHeartbeat } from '#agent/kernel/heartbeat.ts'
import { readLive } from '#agent/kernel/ipsets.ts'
import type { Native, NetlinkSocket } from '#agent/kernel/native-types.ts'
import { bytes } from './netlink/hex.ts'

const [EPERM, ENOENT, NO_MEMBER, FULL] = [1, 2, 4352, 4356]

for (const [answers, beat] of [
  [[0, 0, 0], { kind: 'refreshed' }],
  [[0, ENOENT, ENOENT], { kind: 'refreshed' }],
  [[ENOENT, ENOENT, ENOENT], { kind: 'no-sets' }],
  [[NO_MEMBER, NO_MEMBER, ENOENT], { kind: 'no-sets' }],
  [[EPERM, EPERM, EPERM], { kind: 'failed', errno: 1, code: 'EPERM' }],
  // One refreshed member does not hide that another one was refused.
  [[0, FULL, 0], { kind: 'failed', errno: 4356, code: 'IPSET_ERROR_4356' }],
] as const) {
  test(`the kernel answers ${answers.join(', ')}: ${beat.kind}`, (t) => {
    const heartbeat = openHeartbeat(answering(answers))
    t.deepEqual<unknown, unknown>(heartbeat.beat(), beat)
  })
}

test('a socket that fails is a failed beat, not an exception', (t) => {
  const failing: NetlinkSocket = {
    request: () => {
      throw Object.assign(new Error('recv netlink: Connection timed out'), { errno: 110 })
    },
    close: () => undefined,
  }
  const heartbeat = openHeartbeat({ netlink: () => failing } as unknown as Native)
  t.deepEqual<unknown, unknown>(heartbeat.beat(), { kind: 'failed', errno: 110, code: 'ETIMEDOUT' })
  t.notThrows(() => heartbeat.withdraw())
})

test('withdrawing deletes what beating adds', (t) => {
  const sent: number[] = []
  const heartbeat = openHeartbeat(answering([0, 0, 0, 0, 0, 0], sent))
  heartbeat.beat()
  heartbeat.withdraw()
  // IPSET_CMD_ADD and IPSET_CMD_DEL.
  t.deepEqual(sent, [0x0609, 0x0609, 0x0609, 0x060a, 0x060a, 0x060a])
})

test('live, expired and missing are told apart', (t) => {
  const live =
    '9c00000007060200020000001c4700000200000005000100060000000f0002005348554e542d4c49564500000d0003006c6973743a73657400000000050005000000000005000400030000002c0007800800174000000008080019400000000008001a4000000088080018400000000108000640000000012400088020000780120012005348554e542d53544545522d340000000800064000000001'
  const socket: NetlinkSocket = {
    request: (message) =>
      Buffer.from(message).includes('SHUNT-LIVE-NP')
        ? { errno: ENOENT, messages: [] }
        : { errno: 0, messages: [bytes(live)] },
    close: () => undefined,
  }
  t.deepEqual(
    readLive(socket).map(({ member, state }) => [member, state.kind]),
    [
      ['SHUNT-STEER-4', 'live'],
      ['SHUNT-STEER-6', 'expired'],
      ['SHUNT-STEER-NP', 'no-set'],
    ],
  )
})

function answering(errnos: readonly number[], sent: number[] = []): Native {
  let next = 0
  const socket: NetlinkSocket = {
    request: (message) => {
      sent.push((message[4] ?? 0) | ((message[5] ?? 0) << 8))
      return { errno: errnos[next++] ?? 0, messages: [] }
    },
    close: () => undefined,
  }
  return { netlink: () => socket } as unknown as Native
}
