// The proxy's sign of life: it refreshes the elements whose kernel timeout keeps steering on. Call beat() from the
// event loop that serves connections, every HEARTBEAT_INTERVAL_MS, so that a stalled loop falls silent too.

import os from 'node:os'

import { HEARTBEAT_TIMEOUT_S } from '../model/steering-names.ts'
import { LIVE_MEMBERS } from './ipsets.ts'
import type { Native, NetlinkSocket } from './native-types.ts'
import { refreshMember, deleteMember } from './netlink/ipset.ts'
import { errnoName, errnoOf } from './system-error.ts'

export interface Heartbeat {
  beat(): Beat
  /** Takes the sign of life back at once, for an orderly end: new connections go through the kernel from now on. */
  withdraw(): void
  close(): void
}

export type Beat =
  | { readonly kind: 'refreshed' }
  /** Nothing to refresh yet: the agent has not made the sets. */
  | { readonly kind: 'no-sets' }
  | { readonly kind: 'failed'; readonly errno: number; readonly code: string }

/** Opens its socket now, so that it may be called before privileges are dropped; CAP_NET_ADMIN has to stay. */
export function openHeartbeat(native: Native): Heartbeat {
  const socket = native.netlink('netfilter')
  const beats = LIVE_MEMBERS.map(({ list, member }) => refreshMember(list, member, HEARTBEAT_TIMEOUT_S))
  return {
    beat() {
      const answers = beats.map((message) => answer(socket, message))
      const failed = answers.find((errno) => errno !== 0 && !isAbsent(errno))
      if (failed !== undefined) return { kind: 'failed', errno: failed, code: nameOf(failed) }
      return { kind: answers.includes(0) ? 'refreshed' : 'no-sets' }
    },
    withdraw() {
      for (const { list, member } of LIVE_MEMBERS) answer(socket, deleteMember(list, member))
    },
    close: () => socket.close(),
  }
}

/** A kernel that does not answer in time is one more way to fail; the next beat tries again. */
function answer(socket: NetlinkSocket, message: Uint8Array): number {
  try {
    return socket.request(message).errno
  } catch (error) {
    return errnoOf(error) ?? os.constants.errno.EIO
  }
}

/** linux/netfilter/ipset/ip_set_list.h: the member of a list does not exist. */
const IPSET_ERR_NAME = 4352

function isAbsent(errno: number): boolean {
  return errno === os.constants.errno.ENOENT || errno === IPSET_ERR_NAME
}

/** ipset has errors of its own above 4096. */
function nameOf(errno: number): string {
  return errno < 4096 ? errnoName(errno) : `IPSET_ERROR_${errno}`
}
