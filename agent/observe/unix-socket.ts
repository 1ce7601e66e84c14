// Ownership of Unix socket files: a file that a dead process left is removed, one that answers is somebody's.

import { chmod, chown, lstat, mkdir, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { ShuntError } from '../model/errors.ts'

/** The kernel's limit of a Unix socket's path, without the final zero byte. */
const MAX_PATH_BYTES = 107
const ANSWER_TIMEOUT_MS = 1_000

/**
 * Makes the folder and removes a stale socket, so that the path can be listened on. Throws ALREADY_RUNNING if someone
 * answers, ADDRESS_IN_USE if something else than a socket lies there, USAGE if the path is too long for the kernel.
 */
export async function claimSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new ShuntError('USAGE', `socket path ${path} is longer than ${MAX_PATH_BYTES} bytes`, {
      hint: 'choose a shorter --run-dir',
    })
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new ShuntError('ADDRESS_IN_USE', `${path} exists and is not a socket`)
  if (await answers(path)) throw new ShuntError('ALREADY_RUNNING', `another process answers on ${path}`)
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}

/** Sets who may connect. The group is given only where another user must. */
export async function ownSocket(
  path: string,
  owner: { readonly mode: number; readonly gid?: number },
): Promise<void> {
  if (owner.gid !== undefined) await chown(path, -1, owner.gid)
  await chmod(path, owner.mode)
}

/** True if a process accepts connections there. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const finish = (result: boolean): void => {
      socket.destroy()
      resolve(result)
    }
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => finish(true))
    socket.once('connect', () => finish(true))
    socket.once('error', () => finish(false))
  })
}
