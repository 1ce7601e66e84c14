// A listening socket of the addon's on loopback, whose port the test knows.

import type { ExecutionContext } from 'ava'
import { readFileSync, readlinkSync } from 'node:fs'
import type { Fd, Native } from '#agent/kernel/native-types.ts'
import type { Ip } from '#agent/model/ip.ts'

export async function listenOnLoopback(
  t: ExecutionContext,
  native: Native,
  ip: Ip,
): Promise<{ readonly fd: Fd; readonly port: number }> {
  const fd = native.listenTcp({
    ip,
    port: 0,
    backlog: 1_024,
    transparent: false,
    reusePort: true,
    v6only: true,
  })
  t.teardown(() => native.closeFd(fd))
  return { fd, port: portOf(fd) }
}

/** As the kernel lists it by the inode of the socket. */
function portOf(fd: Fd): number {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6'])
    for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (fields[9] === inode && fields[1] !== undefined)
        return Number.parseInt(fields[1].slice(fields[1].lastIndexOf(':') + 1), 16)
    }
  throw new Error(`no listening socket has descriptor ${fd}`)
}
