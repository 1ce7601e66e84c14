// `shunt run`: agent and proxy as two children of this process. A child that dies is started again, sooner at first and
// later if it keeps dying; signals are passed on; when all have ended after a signal, so does the supervisor.
//
// SIGHUP and SIGUSR2 replace the proxy: a second one is started, takes over the sockets of the first, and says so; the first
// drains in the background until it ends by itself. If the second fails, the first goes on.
//
// Each child has an IPC channel to the supervisor for two purposes: to say that it took over, and because the channel breaks
// when the supervisor is gone; the child then ends as if it had been told to (endWithParent). So nothing is left running,
// and the rules stay.

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
  /** It runs at a terminal: SIGHUP means that the terminal is gone, and ends it. */
  readonly atTerminal: boolean
  readonly clock: Clock
  readonly log: Log
}

const BACKOFF_MIN_MS = 100
const BACKOFF_MAX_MS = 5_000
/** A child that lived so long was healthy: its next start is immediate again. */
const HEALTHY_MS = 10_000
/** A draining proxy takes up to 30 s; what lives longer after a signal is stuck. */
const KILL_AFTER_MS = 40_000
/** What a child says that has taken over from the one before it. */
const TOOK_OVER = 'took over'

/** Resolves with the exit code after SIGTERM or SIGINT, when all children have ended. */
export async function runSupervisor(parts: SupervisorParts): Promise<number> {
  const { clock, log } = parts
  const ending = new AbortController()
  const children = parts.children.map((spec) => new SupervisedChild(spec, parts, ending.signal))
  const stop = (signal: NodeJS.Signals): void => {
    if (!ending.signal.aborted) {
      log.info({ signal }, 'asked to stop; the processes are told')
      ending.abort()
    }
    // Nobody else has ears for SIGHUP.
    for (const child of children) child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal)
  }
  const replace = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'asked to replace the proxy')
    for (const child of children) if (child.name === 'proxy') child.replace()
  }
  const hangUp = parts.atTerminal ? stop : replace
  process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', hangUp).on('SIGUSR2', replace)
  ending.signal.addEventListener('abort', () => {
    const cancel = clock.after(KILL_AFTER_MS, () => {
      log.error({}, 'a process did not end in time and is killed')
      for (const child of children) child.kill('SIGKILL')
    })
    void Promise.all(children.map(({ ended }) => ended)).then(cancel)
  })
  await Promise.all(children.map(({ ended }) => ended))
  process.off('SIGTERM', stop).off('SIGINT', stop).off('SIGHUP', hangUp).off('SIGUSR2', replace)
  return 0
}

/** One name, under which up to one process serves, up to one takes over, and any number drain. */
class SupervisedChild {
  readonly name: ChildSpec['name']
  /** Resolves when all of its processes have ended after the end of supervision. */
  readonly ended: Promise<void>
  readonly #spec: ChildSpec
  readonly #parts: SupervisorParts
  readonly #ending: AbortSignal
  readonly #end: () => void
  readonly #draining = new Set<ChildProcess>()
  #serving: ChildProcess | undefined
  #next: ChildProcess | undefined
  #startedAtMs = 0
  #failures = 0
  /** It was asked for a replacement while one was under way, which may have read what has changed since. */
  #replaceAgain = false
  #cancelStart = (): void => {}

  constructor(spec: ChildSpec, parts: SupervisorParts, ending: AbortSignal) {
    this.name = spec.name
    this.#spec = spec
    this.#parts = parts
    this.#ending = ending
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#end = resolve
    ending.addEventListener('abort', () => {
      this.#cancelStart()
      this.#endIfAllGone()
    })
    this.#start()
  }

  kill(signal: NodeJS.Signals): void {
    for (const child of [this.#serving, this.#next, ...this.#draining]) child?.kill(signal)
  }

  replace(): void {
    if (this.#ending.aborted) return
    // It is being started anyway.
    if (this.#serving === undefined) return
    if (this.#next !== undefined) {
      this.#replaceAgain = true
      return
    }
    this.#next = this.#spawn('started, to take over')
  }

  #start(): void {
    this.#startedAtMs = this.#parts.clock.monotonicMs()
    this.#serving = this.#spawn('started')
  }

  #spawn(message: string): ChildProcess {
    const { log, program } = this.#parts
    const { name, args } = this.#spec
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      // A group of its own: a Ctrl-C at the terminal reaches the supervisor alone, which tells the children once.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child.once('error', (error) => {
      log.error({ error, child: name }, 'a process could not be started')
      // One that never ran does not exit.
      if (child.pid === undefined) this.#gone(child)
    })
    child.once('exit', (code, signal) => {
      log[this.#expected(child) ? 'info' : 'error'](
        { child: name, pid: child.pid, code, signal },
        this.#what(child),
      )
      this.#gone(child)
    })
    child.on('message', (said) => {
      if (said === TOOK_OVER && child === this.#next) this.#promote()
    })
    log.info({ child: name, pid: child.pid }, message)
    return child
  }

  #expected(child: ChildProcess): boolean {
    return this.#ending.aborted || this.#draining.has(child)
  }

  #what(child: ChildProcess): string {
    if (this.#draining.has(child)) return 'a process that had handed over has ended'
    if (child === this.#next) return 'a process ended before it took over; the one before it goes on'
    if (this.#ending.aborted) return 'ended'
    return this.#next === undefined
      ? 'a process ended and is started again'
      : 'a process ended while the next one takes over'
  }

  /** The next one serves; the one that did until now drains. */
  #promote(): void {
    if (this.#serving !== undefined) this.#draining.add(this.#serving)
    this.#parts.log.info(
      { child: this.name, pid: this.#next?.pid, draining: this.#serving?.pid },
      'the new process has taken over',
    )
    this.#serving = this.#next
    this.#next = undefined
    this.#startedAtMs = this.#parts.clock.monotonicMs()
    this.#replaceOnceMore()
  }

  #gone(child: ChildProcess): void {
    if (this.#draining.delete(child)) return this.#endIfAllGone()
    if (child === this.#next) {
      this.#next = undefined
      this.#replaceOnceMore()
      return this.#endIfAllGone()
    }
    if (child !== this.#serving) return
    this.#serving = this.#next
    this.#next = undefined
    if (this.#serving === undefined) this.#startLater()
    this.#endIfAllGone()
  }

  #replaceOnceMore(): void {
    if (!this.#replaceAgain) return
    this.#replaceAgain = false
    this.replace()
  }

  #startLater(): void {
    if (this.#ending.aborted) return
    const { clock } = this.#parts
    const livedMs = clock.monotonicMs() - this.#startedAtMs
    this.#failures = livedMs >= HEALTHY_MS ? 0 : this.#failures + 1
    const delayMs = Math.min(BACKOFF_MIN_MS * 2 ** Math.max(this.#failures - 1, 0), BACKOFF_MAX_MS)
    this.#cancelStart()
    this.#cancelStart = clock.after(delayMs, () => this.#start())
  }

  #endIfAllGone(): void {
    if (!this.#ending.aborted) return
    if (this.#serving === undefined && this.#next === undefined && this.#draining.size === 0) this.#end()
  }
}

/** In a child: asks the own process to end when the supervisor is gone. Elsewhere it does nothing. */
export function endWithParent(): void {
  if (process.channel === undefined || process.channel === null) return
  process.channel.unref()
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
}

/** In a child: it serves in the place of the one before it, which drains. Elsewhere it does nothing. */
export function tellTookOver(): void {
  if (process.channel === undefined || process.channel === null) return
  // Without a callback a failure would be thrown; a supervisor that is gone is noticed by endWithParent.
  process.send?.(TOOK_OVER, () => {})
}
