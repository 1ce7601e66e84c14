// Runs Shunt in a node of a lab, as its operator would: the real command, the default paths (each node has its own
// /run), real signals. What it logs is kept for failure reports.

import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Lab } from './lab.ts'
import { exited, labEnvironment, type Ran } from './processes.ts'

export interface Shunt {
  readonly node: string
  readonly pid: number
  /** True until it has ended. */
  running(): boolean
  /** Everything that it logged. */
  log(): string
  signal(signal: NodeJS.Signals): void
  /** Asks it to end and waits; it is killed after five seconds. */
  stop(): Promise<void>
  /** SIGKILL, and waits. */
  kill(): Promise<void>
  ended(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export interface ShuntOptions {
  readonly command: 'agent' | 'proxy' | 'run'
  readonly flags: readonly string[]
  /** Name of its log within the lab's folder; the command if not given. */
  readonly logName?: string
}

export const SHUNT_MAIN = fileURLToPath(new URL('../../../agent/main.ts', import.meta.url))

let logs = 0

/** Starts a long-lived command; it is not ready yet when this returns. */
export function startShunt(lab: Lab, node: string, options: ShuntOptions): Shunt {
  const folder = join(lab.folder, 'logs')
  mkdirSync(folder, { recursive: true })
  const logFile = join(folder, `${node}-${options.logName ?? options.command}-${logs++}.log`)
  const log = openSync(logFile, 'a')
  const child = lab.spawn(
    node,
    [process.execPath, SHUNT_MAIN, options.command, '--node-name', node, ...options.flags],
    {
      stdio: ['ignore', log, log],
      env: labEnvironment(),
    },
  )
  closeSync(log)
  const running = (): boolean => child.exitCode === null && child.signalCode === null
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (running()) child.kill(signal)
    await endedWithin(child, 5000)
  }
  return {
    node,
    pid: child.pid ?? 0,
    running,
    log: () => readFileSync(logFile, 'utf8'),
    signal: (signal) => void child.kill(signal),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    ended: async () => {
      await exited(child)
      return { code: child.exitCode, signal: child.signalCode }
    },
  }
}

/** Runs a debugging command on a node. */
export function shunt(lab: Lab, node: string, ...args: readonly string[]): Promise<Ran> {
  return lab.exec(node, [process.execPath, SHUNT_MAIN, ...args], { mayFail: true, env: labEnvironment() })
}

async function endedWithin(child: ChildProcess, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  await exited(child)
  clearTimeout(timer)
}
