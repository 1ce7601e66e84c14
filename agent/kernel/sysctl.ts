// Kernel settings under /proc/sys, by their dotted names.

import { readFileSync, writeFileSync } from 'node:fs'
import { messageOf, ShuntError } from '../model/errors.ts'
import type { Log } from '../model/log.ts'

/** undefined: the kernel does not have it (a module is not loaded, or it is not of this network namespace). */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(pathOf(name), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Writes unless it has the value already. Throws SYSCTL_FAILED; NOT_PERMITTED if the kernel does not let us. */
export function writeSysctl(name: string, value: string): void {
  if (readSysctl(name) === value) return
  try {
    writeFileSync(pathOf(name), value)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const refused = code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
    throw new ShuntError(
      refused ? 'NOT_PERMITTED' : 'SYSCTL_FAILED',
      `set ${name} to ${value}: ${messageOf(cause)}`,
      {
        cause,
      },
    )
  }
}

function pathOf(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}

export interface SysctlSetting {
  readonly name: string
  readonly value: number
  /** Never lowered: others of the node may have wanted more. */
  readonly onlyRaise: boolean
  /** False for what belongs to the host and cannot be set from a network namespace of its own. */
  readonly required: boolean
}

/** Writes them all; answers a sentence for each that is required and could not be set. */
export function applySysctls(settings: readonly SysctlSetting[], log: Log): readonly string[] {
  const setbacks: string[] = []
  for (const { name, value, onlyRaise, required } of settings) {
    const current = readSysctl(name)
    if (current === undefined) {
      log.info({ name, value }, 'the kernel does not have this setting here; it is left out')
      continue
    }
    if (onlyRaise && Number(current) >= value) continue
    try {
      writeSysctl(name, String(value))
      if (Number(current) !== value) log.info({ name, from: current, to: value }, 'set')
    } catch (error) {
      log.warn({ error, name, value }, 'a kernel setting could not be written')
      if (required) setbacks.push(messageOf(error))
    }
  }
  return setbacks
}
