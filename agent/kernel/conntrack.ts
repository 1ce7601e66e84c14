// The kernel's connection table, read for people and, rarely, cut.

import os from 'node:os'

import { FAMILIES, type Family } from '../model/ip.ts'
import type { NetlinkSocket } from './native-types.ts'
import { decodeEntry, deleteEntry, dumpEntries, type ConntrackEntry } from './netlink/conntrack.ts'
import { kernelError } from './system-error.ts'

export interface Conntrack {
  /** Entries in the kernel's order. With a mark: only those whose mark has this value under this mask. */
  entries(filter?: { readonly mark?: { readonly value: number; readonly mask: number } }): ConntrackEntry[]
  /** False if it has ended meanwhile. */
  delete(entry: ConntrackEntry): boolean
}

/** `socket`: of the protocol `netfilter`. Both families; one that the kernel does not track has no entries. */
export function conntrack(socket: NetlinkSocket): Conntrack {
  return {
    entries: (filter = {}) => FAMILIES.flatMap((family) => dump(socket, family, filter.mark)),
    delete(entry) {
      const { errno } = socket.request(deleteEntry(entry))
      if (errno === os.constants.errno.ENOENT) return false
      if (errno !== 0) throw kernelError('delete a connection of the conntrack table', errno)
      return true
    },
  }
}

function dump(
  socket: NetlinkSocket,
  family: Family,
  mark: { readonly value: number; readonly mask: number } | undefined,
): ConntrackEntry[] {
  const reply = socket.request(dumpEntries(family, mark))
  if (reply.errno !== 0) throw kernelError('read the conntrack table', reply.errno)
  const entries = reply.messages.flatMap((message) => decodeEntry(message) ?? [])
  // Kernels before 5.8 with a mask but no filter support would send everything; the answer must not depend on that.
  return mark === undefined
    ? entries
    : entries.filter((entry) => (entry.mark & mark.mask) >>> 0 === mark.value)
}
