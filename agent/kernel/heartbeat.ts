// The proxy's sign of life: it refreshes the elements whose kernel timeout keeps steering on. Call beat() from the
// event loop that serves connections, every HEARTBEAT_INTERVAL_MS, so that a stalled loop falls silent too.

import { HEARTBEAT_TIMEOUT_S } from '../model/steering-names.ts'
import { LIVE_MEMBERS } from './ipsets.ts'
import type { Native } from './native-types.ts'
import { refreshMember, deleteMember } from './netlink/ipset.ts'
import { errnoName } from './system-error.ts'
import os from 'node:os'

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
      const answers = beats.map((message) => socket.request(message).errno)
      const failed = answers.find((errno) => errno !== 0 && !isAbsent(errno))
      if (failed !== undefined) return { kind: 'failed', errno: failed, code: nameOf(failed) }
      return { kind: answers.includes(0) ? 'refreshed' : 'no-sets' }
    },
    withdraw() {
      for (const { list, member } of LIVE_MEMBERS) socket.request(deleteMember(list, member))
    },
    close: () => socket.close(),
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
