// Names of a lab's network namespaces, and the sweep of those whose owner is dead. A name carries the pid of the
// process that made it: `shunt-<pid>-<n>-<place>`.

import { readdirSync, readlinkSync, statSync } from 'node:fs'

const FOLDER = '/run/netns'
const NAME = /^shunt-([0-9]+)-[0-9]+-/

/** What `nsenter --net=` takes. */
export function namespacePath(name: string): string {
  return `${FOLDER}/${name}`
}

/** Existing namespaces of labs whose owner is gone. */
export function abandonedNamespaces(): readonly string[] {
  return listNamespaces().filter((name) => {
    const pid = NAME.exec(name)?.[1]
    return pid !== undefined && !isAlive(Number(pid))
  })
}

/** Existing namespaces whose names start so. */
export function namespacesStarting(prefix: string): readonly string[] {
  return listNamespaces().filter((name) => name.startsWith(prefix))
}

/** Processes that live in any of these namespaces. */
export function pidsInside(names: readonly string[]): readonly number[] {
  const inodes = new Set(names.flatMap((name) => inodeOf(name)))
  if (inodes.size === 0) return []
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && inodes.has(networkOf(pid)))
}

function listNamespaces(): readonly string[] {
  try {
    return readdirSync(FOLDER)
  } catch {
    return []
  }
}

function inodeOf(name: string): readonly string[] {
  try {
    return [`net:[${statSync(namespacePath(name)).ino}]`]
  } catch {
    return []
  }
}

function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return ''
  }
}

/** True while a process has this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
