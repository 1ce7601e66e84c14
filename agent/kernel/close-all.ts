// File descriptors that live as long as one call.

import type { Fd } from './native-types.ts'

/** Runs with a function that notes descriptors; closes all of them afterwards, whatever happened. */
export function closeAll<T>(closer: { closeFd(fd: Fd): void }, use: (own: (fd: Fd) => Fd) => T): T {
  const owned: Fd[] = []
  try {
    return use((fd) => {
      owned.push(fd)
      return fd
    })
  } finally {
    for (const fd of owned) closer.closeFd(fd)
  }
}
