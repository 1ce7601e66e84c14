// The folder of our pins: on the host's BPF file system, or on one of our own where the folder lies elsewhere.

import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'

import { messageOf, ShuntError } from '../model/errors.ts'
import type { NativeBpf } from './native-types.ts'

/** The host's usual mount point, which in a fresh mount namespace may be an empty folder. */
const HOST_BPF_FS = '/sys/fs/bpf'

/** Makes the folder, and mounts a BPF file system where none is. Idempotent. */
export function ensurePinFolder(bpf: NativeBpf, pinDir: string): void {
  try {
    if (pinDir === HOST_BPF_FS || pinDir.startsWith(`${HOST_BPF_FS}/`)) bpf.mountFs(HOST_BPF_FS)
    mkdirSync(pinDir, { recursive: true, mode: 0o700 })
    bpf.mountFs(pinDir)
  } catch (error) {
    if (error instanceof ShuntError) throw error
    throw new ShuntError('KERNEL_REFUSED', `make the pin folder ${pinDir}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/**
 * Removes every pin of the folder, then the folder itself, or the mount that is on it. Succeeds when it is not there.
 * The kernel objects go when no process holds them any more.
 */
export function removePinFolder(bpf: NativeBpf, pinDir: string): void {
  if (!existsSync(pinDir)) return
  for (const name of readdirSync(pinDir))
    if (!KERNEL_FILES.has(name)) rmSync(path.join(pinDir, name), { force: true })
  if (isMountPoint(pinDir)) bpf.unmountFs(pinDir)
  rmdirSync(pinDir)
}

/** What the kernel itself puts into the root of every BPF file system. */
const KERNEL_FILES: ReadonlySet<string> = new Set(['maps.debug', 'progs.debug'])

function isMountPoint(folder: string): boolean {
  return statSync(folder).dev !== statSync(path.dirname(folder)).dev
}
