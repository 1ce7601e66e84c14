// At most one process of a kind for a run folder. The lock is the name of an abstract Unix socket: the kernel gives it
// to one process and takes it back when that process is gone, however it went. Abstract names belong to the network
// namespace; the admin socket in the folder tells processes of different namespaces apart.

import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { ShuntError } from '../model/errors.ts'
import type { Fd } from './native-types.ts'
import { fdOf } from './original-destination.ts'

export interface RunLock {
  /** Whoever has a copy of it holds the lock too; undefined: this version of Node does not tell. */
  readonly fd: Fd | undefined
  /** Once is enough. */
  release(): void
}

/** The folder must exist. Throws ALREADY_RUNNING. */
export async function takeRunLock(kind: 'agent' | 'proxy', runDir: string): Promise<RunLock> {
  // By the identity of the folder: two paths may lead to one.
  const { dev, ino } = await stat(runDir)
  const server = createServer((socket) => socket.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', (cause: NodeJS.ErrnoException) => {
    reject(
      cause.code === 'EADDRINUSE'
        ? new ShuntError('ALREADY_RUNNING', `another ${kind} uses the run folder ${runDir}`, { cause })
        : cause,
    )
  })
  server.listen(`\0shunt-${kind}-${dev}-${ino}`, resolve)
  await promise
  server.unref()
  return { fd: fdOf(server), release: () => void server.close() }
}

/** The lock of a process that handed over: both hold it until one lets go. */
export function inheritRunLock(native: { closeFd(fd: Fd): void }, fd: Fd): RunLock {
  let held = true
  return {
    fd,
    release: () => {
      if (held) native.closeFd(fd)
      held = false
    },
  }
}
