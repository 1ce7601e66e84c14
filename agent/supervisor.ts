// `shunt run`: agent and proxy as two children of this process. A child that dies is started again, sooner at first and
// later if it keeps dying; signals are passed on; when both have ended after a signal, so does the supervisor.
//
// Each child has an IPC channel to the supervisor for one purpose: when the supervisor is gone the channel breaks, and the child
// ends as if it had been told to (endWithParent). So nothing is left running, and the rules stay.

import { spawn, type ChildProcess } from 'node:child_process'
import type { Clock } from './model/clock.ts'
import type { Log } from './model/log.ts'

export interface ChildSpec {
  readonly name: 'agent' | 'proxy'
  /** Arguments after the program. */
  readonly args: readonly string[]
}

export interface SupervisorParts {
  /** File of the program, run by this same Node. */
  readonly program: string
  readonly children: readonly ChildSpec[]
  readonly clock: Clock
  readonly log: Log
}

const BACKOFF_MIN_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A child that lived so long was healthy: its next start is immediate again. */
const HEALTHY_MS = 10_000
/** A draining proxy takes up to 30 s; what lives longer after a signal is stuck. */
const KILL_AFTER_MS = 40_000

/** Resolves with the exit code after SIGTERM or SIGINT, when both children have ended. */
export async function runSupervisor(parts: SupervisorParts): Promise<number> {
  const { clock, log } = parts
  const ending = new AbortController()
  const children = parts.children.map((spec) => superviseChild(spec, parts, ending.signal))
  const pass = (signal: NodeJS.Signals): void => {
    if (!ending.signal.aborted) {
      log.info({ signal }, 'asked to stop; both processes are told')
      ending.abort()
    }
    for (const child of children) child.kill(signal)
  }
  process.on('SIGTERM', pass).on('SIGINT', pass).on('SIGHUP', pass)
  ending.signal.addEventListener('abort', () => {
    const cancel = clock.after(KILL_AFTER_MS, () => {
      log.error({}, 'a process did not end in time and is killed')
      for (const child of children) child.kill('SIGKILL')
    })
    void Promise.all(children.map(({ ended }) => ended)).then(cancel)
  })
  await Promise.all(children.map(({ ended }) => ended))
  process.off('SIGTERM', pass).off('SIGINT', pass).off('SIGHUP', pass)
  return 0
}

interface SupervisedChild {
  kill(signal: NodeJS.Signals): void
  /** Resolves when the child has ended after the end of supervision. */
  readonly ended: Promise<void>
}

function superviseChild(spec: ChildSpec, parts: SupervisorParts, ending: AbortSignal): SupervisedChild {
  const { clock, log } = parts
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  let child: ChildProcess | undefined
  let failures = 0
  let cancel = (): void => {}

  function start(): void {
    const startedAtMs = clock.monotonicMs()
    const made = spawn(process.execPath, [...process.execArgv, parts.program, ...spec.args], {
      // A group of its own: a Ctrl-C at the terminal reaches the supervisor alone, which tells the children once.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child = made
    made.once('error', (error) => {
      log.error({ error, child: spec.name }, 'a process could not be started')
      again(startedAtMs)
    })
    made.once('exit', (code, signal) => {
      child = undefined
      if (ending.aborted) return resolve()
      log.error({ child: spec.name, pid: made.pid, code, signal }, 'a process ended and is started again')
      again(startedAtMs)
    })
    log.info({ child: spec.name, pid: made.pid }, 'started')
  }

  function again(startedAtMs: number): void {
    if (ending.aborted) return resolve()
    failures = clock.monotonicMs() - startedAtMs >= HEALTHY_MS ? 0 : failures + 1
    const delayMs = Math.min(BACKOFF_MIN_MS * 2 ** Math.max(failures - 1, 0), BACKOFF_MAX_MS)
    cancel()
    cancel = clock.after(delayMs, start)
  }

  start()
  ending.addEventListener('abort', () => {
    cancel()
    if (child === undefined) resolve()
  })
  return { kill: (signal) => void child?.kill(signal), ended }
}

/** In a child: asks the own process to end when the supervisor is gone. Elsewhere it does nothing. */
export function endWithParent(): void {
  if (process.channel === undefined || process.channel === null) return
  process.channel.unref()
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
}
