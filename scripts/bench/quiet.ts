// Takes the machine's own noise out of a measurement: idle-class spinners keep the CPUs of a virtual machine from halting,
// so that a wake-up costs what it costs on hardware and not an exit to the hypervisor; a cgroup with a large share keeps
// other work of the machine out. Both are alike for everything that is compared.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

interface Group {
  readonly root: string
  readonly file: string
  readonly share: string
}

/** cgroup v1 and v2: four times an ordinary process, or group; more would starve what else the machine does. */
const GROUPS: readonly Group[] = [
  { root: '/sys/fs/cgroup/cpu', file: 'cpu.shares', share: '4096' },
  { root: '/sys/fs/cgroup', file: 'cpu.weight', share: '400' },
]

/** Holds for this process and all that it starts until the result is called. Sentences on what could not be had. */
export function quieten(): { readonly missing: readonly string[]; readonly end: () => void } {
  const spinners = Array.from({ length: availableParallelism() }, () =>
    spawn(
      '/usr/bin/setpriv',
      ['--pdeathsig', 'KILL', '/usr/bin/chrt', '--idle', '0', '/bin/sh', '-c', 'while :; do :; done'],
      { stdio: 'ignore' },
    ),
  )
  const group = GROUPS.find(
    ({ root, file }) => existsSync(`${root}/${file}`) || existsSync(`${root}/cgroup.procs`),
  )
  const left = group === undefined ? undefined : enter(group)
  return {
    missing: left === undefined ? ['no cgroup kept other work of the machine away'] : [],
    end: () => {
      for (const spinner of spinners) spinner.kill('SIGKILL')
      left?.()
    },
  }
}

function enter({ root, file, share }: Group): (() => void) | undefined {
  const path = `${root}/shunt-bench-${process.pid}`
  try {
    mkdirSync(path)
    writeFileSync(`${path}/${file}`, share)
    writeFileSync(`${path}/cgroup.procs`, String(process.pid))
  } catch {
    return undefined
  }
  return () => {
    writeFileSync(`${root}/cgroup.procs`, String(process.pid))
    try {
      rmdirSync(path)
    } catch {
      // A process of ours is still ending in there; an empty group costs nothing.
    }
  }
}
