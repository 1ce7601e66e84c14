// What a process has used: from the kernel's own accounts.

import { readdirSync, readFileSync } from 'node:fs'

/** Run time of all their threads, from the scheduler's counters of nanoseconds; ended threads do not count. */
export function cpuUsOf(pids: readonly number[]): number {
  // /proc/PID/schedstat is the first thread's alone.
  return threadsOf(pids).reduce((sum, path) => {
    const [runNs = ''] = readFileSync(`${path}/schedstat`, 'utf8').split(' ')
    return sum + Number(runNs) / 1000
  }, 0)
}

/** The same for each thread, by its name. */
export function cpuUsByThread(pids: readonly number[]): ReadonlyMap<string, number> {
  const result = new Map<string, number>()
  for (const path of threadsOf(pids)) {
    const name = `${readFileSync(`${path}/comm`, 'utf8').trim()}/${path.split('/').at(-1) ?? ''}`
    const [runNs = ''] = readFileSync(`${path}/schedstat`, 'utf8').split(' ')
    result.set(name, Number(runNs) / 1000)
  }
  return result
}

/** Resident memory of all together. */
export function rssKibOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return sum + Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN)
  }, 0)
}

function threadsOf(pids: readonly number[]): readonly string[] {
  return pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((tid) => `/proc/${pid}/task/${tid}`))
}
