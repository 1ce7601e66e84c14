// At most one process of a kind for a run folder. The lock is the name of an abstract Unix socket: the kernel gives it
// to one process and takes it back when that process is gone, however it went. Abstract names belong to the network
// namespace; the admin socket in the folder tells processes of different namespaces apart.

import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { ShuntError } from '../model/errors.ts'

export interface RunLock {
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
  return { release: () => void server.close() }
}
