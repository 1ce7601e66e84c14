// Reading manifest files from disk: bounded in size, never a device or a pipe, only whole and readable text.

import { isUtf8 } from 'node:buffer'
import { constants, type BigIntStats, type Dirent } from 'node:fs'
import { lstat, open, readdir, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../model/errors.ts'
import type { FileReading } from './folder.ts'

/** A folder of 10,000 Services with 10 endpoints each is 16 MB, which a handful of files of this size hold. */
export const MOST_FILE_BYTES = 4 * 1024 * 1024

export interface FileAtRest {
  readonly name: string
  /** Changes with every change of the file. */
  readonly stamp: string
}

/** `torn`: the file changed while it was read. `gone`: it went away before it could be. */
export type FileLook = FileReading | { readonly kind: 'torn' } | { readonly kind: 'gone' }

/**
 * The manifest files of a folder, without its subfolders; hidden files are those of editors and of ConfigMap mounts.
 * Rejects if the folder cannot be listed.
 */
export async function listFolder(folder: string): Promise<FileAtRest[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const wanted = entries.filter(({ name }) => !name.startsWith('.') && /\.(?:ya?ml|json)$/.test(name))
  const files = await Promise.all(wanted.map((entry) => lookAt(folder, entry)))
  return files.filter((file) => file !== undefined)
}

async function lookAt(folder: string, entry: Dirent): Promise<FileAtRest | undefined> {
  const { name } = entry
  try {
    const stats = await stat(join(folder, name), { bigint: true })
    return stats.isDirectory() ? undefined : { name, stamp: stampOf(stats) }
  } catch (error) {
    // A link into nothing is a file that cannot be read, not one that was removed.
    if (codeOf(error) === 'ENOENT' && !entry.isSymbolicLink()) return undefined
    return { name, stamp: codeOf(error) }
  }
}

/** Never rejects. */
export async function readManifest(path: string): Promise<FileLook> {
  let file: FileHandle
  try {
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && !(await isLink(path))) return { kind: 'gone' }
    return { kind: 'unreadable', message: `cannot be opened: ${messageOf(error)}` }
  }
  try {
    return await readOpen(file)
  } catch (error) {
    return { kind: 'unreadable', message: `cannot be read: ${messageOf(error)}` }
  } finally {
    await file.close()
  }
}

async function readOpen(file: FileHandle): Promise<FileLook> {
  const before = await file.stat({ bigint: true })
  if (!before.isFile()) return { kind: 'unreadable', message: 'is not a regular file, expected one' }
  if (before.size > MOST_FILE_BYTES) return tooLarge(before.size)
  const bytes = await file.readFile()
  if (bytes.length > MOST_FILE_BYTES) return tooLarge(BigInt(bytes.length))
  if (stampOf(await file.stat({ bigint: true })) !== stampOf(before)) return { kind: 'torn' }
  if (!isUtf8(bytes)) {
    const line = firstBadLine(bytes)
    return { kind: 'unreadable', message: 'is not valid UTF-8 from this line on, expected UTF-8 text', line }
  }
  // The decoder also takes the byte order mark away.
  return { kind: 'text', text: new TextDecoder('utf-8').decode(bytes) }
}

function tooLarge(sizeBytes: bigint): FileLook {
  const message = `is ${sizeBytes} bytes large, expected at most ${MOST_FILE_BYTES} (4 MiB); split it into several files`
  return { kind: 'unreadable', message }
}

function firstBadLine(bytes: Buffer): number {
  let line = 1
  for (let start = 0; start < bytes.length; line++) {
    const feed = bytes.indexOf(0x0a, start)
    const end = feed === -1 ? bytes.length : feed + 1
    if (!isUtf8(bytes.subarray(start, end))) return line
    start = end
  }
  return line
}

function stampOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch {
    return false
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
