// Where system programs live. PATH is never asked: an npm package called `nft` in node_modules/.bin would shadow the
// real one, and a root process must not run what happens to come first in its environment.

import { accessSync, constants } from 'node:fs'

/** System folders in the order of their precedence. */
export const PROGRAM_FOLDERS: readonly string[] = [
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/local/bin',
]

const found = new Map<string, string>()

/** The absolute path of a program by its bare name; undefined if it is not installed. A hit is remembered. */
export function resolveProgram(name: string): string | undefined {
  const known = found.get(name)
  if (known !== undefined) return known
  if (name === '' || name.includes('/') || name.includes('\0')) return undefined
  const path = PROGRAM_FOLDERS.map((folder) => `${folder}/${name}`).find(isExecutable)
  if (path !== undefined) found.set(name, path)
  return path
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
