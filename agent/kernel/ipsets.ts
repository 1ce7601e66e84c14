// Sets as the kernel holds them.

import os from 'node:os'

import {
  LIVE_NODEPORT_SET,
  LIVE_SET,
  STEER_NODEPORT_SET,
  STEER_SET_V4,
  STEER_SET_V6,
} from '../model/steering-names.ts'
import type { NetlinkSocket } from './native-types.ts'
import { decodeElements, listSet, type SetElement } from './netlink/ipset.ts'
import { kernelError } from './system-error.ts'

/** undefined: there is no such set. */
export function readSet(socket: NetlinkSocket, name: string): SetElement[] | undefined {
  const reply = socket.request(listSet(name))
  if (reply.errno === os.constants.errno.ENOENT) return undefined
  if (reply.errno !== 0) throw kernelError(`read the set ${name}`, reply.errno)
  return reply.messages.flatMap(decodeElements)
}

/** The members of the two lists, in the order of a heartbeat. */
export const LIVE_MEMBERS: readonly { readonly list: string; readonly member: string }[] = [
  { list: LIVE_SET, member: STEER_SET_V4 },
  { list: LIVE_SET, member: STEER_SET_V6 },
  { list: LIVE_NODEPORT_SET, member: STEER_NODEPORT_SET },
]

export interface LiveMember {
  readonly list: string
  readonly member: string
  readonly state:
    | { readonly kind: 'live'; readonly remainingS: number }
    /** New connections go through the kernel's own balancing. */
    | { readonly kind: 'expired' }
    | { readonly kind: 'no-set' }
}

export function readLive(socket: NetlinkSocket): LiveMember[] {
  return LIVE_MEMBERS.map(({ list, member }) => {
    const elements = readSet(socket, list)
    const element = elements?.find((candidate) => candidate.member === member)
    if (elements === undefined) return { list, member, state: { kind: 'no-set' } }
    if (element === undefined) return { list, member, state: { kind: 'expired' } }
    return { list, member, state: { kind: 'live', remainingS: element.timeoutS ?? 0 } }
  })
}
