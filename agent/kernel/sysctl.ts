// Kernel settings under /proc/sys, of the network namespace that this process is in. A setting that already has its
// value is never written: in containers and in network namespaces other than the first many are read-only.

import { readFileSync, writeFileSync } from 'node:fs'

import { messageOf, ShuntError } from '../model/errors.ts'
import type { Log } from '../model/log.ts'

export interface SysctlSetting {
  /** `net.ipv4.ip_forward`. */
  readonly name: string
  readonly value: number
  /** A greater value is as good and stays. */
  readonly onlyRaise: boolean
  /** Something of ours does not work without it; otherwise it is only better to have it. */
  readonly required: boolean
}

const ROOT = '/proc/sys'

/**
 * Sets what is not as wanted. What cannot be set is logged and returned as a sentence, never thrown: the host may be
 * configured by somebody else, and all that does not need the setting still works.
 */
export function applySysctls(settings: readonly SysctlSetting[], log: Log, root = ROOT): readonly string[] {
  const setbacks: string[] = []
  for (const setting of settings) {
    const { name, value, required } = setting
    const now = readSysctl(name, root)
    if (now !== undefined && isMet(setting, Number(now))) continue
    try {
      writeSysctl(name, value, root)
      log.info({ sysctl: name, from: now, to: value }, 'kernel setting changed')
    } catch (error) {
      const message = `${messageOf(error)} (it is ${now ?? 'not known to this kernel'})`
      if (required) setbacks.push(message)
      log.warn({ sysctl: name, is: now, wanted: value }, message)
    }
  }
  return setbacks
}

/** Without the line's end; undefined: this kernel does not have it, or does not show it. */
export function readSysctl(name: string, root = ROOT): string | undefined {
  try {
    return readFileSync(pathOf(name, root), 'utf8').trimEnd()
  } catch {
    return undefined
  }
}

/** Throws a ShuntError SYSCTL_FAILED. */
export function writeSysctl(name: string, value: number | string, root = ROOT): void {
  try {
    // No O_CREAT: a name that the kernel does not have is an error, also where the root is a folder of a test.
    writeFileSync(pathOf(name, root), String(value), { flag: 'r+' })
  } catch (cause) {
    throw new ShuntError('SYSCTL_FAILED', `sysctl ${name}=${value} failed: ${messageOf(cause)}`, { cause })
  }
}

function isMet({ value, onlyRaise }: SysctlSetting, now: number): boolean {
  return onlyRaise ? now >= value : now === value
}

/** Interface names may have dots; sysctl(8) writes them as slashes then, and so do we. */
function pathOf(name: string, root: string): string {
  return `${root}/${name.replaceAll(/[./]/g, (separator) => (separator === '.' ? '/' : '.'))}`
}
