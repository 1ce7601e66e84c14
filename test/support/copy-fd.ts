// A copy of a descriptor, as another process would get it: passed over a Unix socket, here to this same process.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fd, Native } from '#agent/kernel/native-types.ts'
import { fdOf } from '#agent/kernel/original-destination.ts'

/** The caller's to close. */
export async function copyFd(native: Native, fd: Fd): Promise<Fd> {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-copy-'))
  const path = join(folder, 'socket')
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  const receiver = native.fdPassing.connectUnix(path)
  try {
    const [sender] = (await once(server, 'connection')) as [Socket]
    native.fdPassing.sendFds(fdOf(sender) ?? -1, Buffer.from('x'), [fd])
    sender.destroy()
    const copy = native.fdPassing.receiveFds(receiver, 1)?.fds[0]
    if (copy === undefined) throw new Error('no descriptor came')
    return copy
  } finally {
    native.closeFd(receiver)
    server.close()
    rmSync(folder, { recursive: true })
  }
}
