// Runs programs inside the namespaces of a lab, remembers every pid, and ends what is left. A program never goes
// through a shell; `nsenter` replaces itself by it, so that the pid we know is the program's own.

import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'

export interface Ran {
  /** Exit status; 128 + signal number is not used: a killed program has `signal`. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  /** The program is killed after this; 30 s if not given. */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Do not throw when the exit status is not 0. */
  readonly mayFail?: boolean
}

export interface SpawnOptions {
  readonly stdio?: StdioOptions
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Programs of one lab. */
export interface Processes {
  spawn(argv: readonly string[], options?: SpawnOptions): ChildProcess
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>
  /** SIGKILL to everything that still runs. */
  endAll(): Promise<void>
}

export class ProgramFailed extends Error {
  readonly ran: Ran

  constructor(argv: readonly string[], ran: Ran) {
    super(`${argv.join(' ')}: exit ${ran.code ?? ran.signal}\n${ran.stderr}${ran.stdout}`)
    this.name = 'ProgramFailed'
    this.ran = ran
  }
}

export function createProcesses(): Processes {
  const running = new Set<ChildProcess>()

  const start = (argv: readonly string[], options: SpawnOptions = {}): ChildProcess => {
    const [program, ...rest] = argv
    if (program === undefined) throw new Error('no program given')
    const child = spawn(program, rest, {
      stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
      env: options.env ?? labEnvironment(),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    running.add(child)
    child.on('exit', () => running.delete(child))
    child.on('error', () => running.delete(child))
    return child
  }

  return {
    spawn: start,
    run: async (argv, options = {}) => {
      const child = start(argv, {
        stdio: ['pipe', 'pipe', 'pipe'],
        ...(options.env === undefined ? {} : { env: options.env }),
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      })
      const ran = await finish(child, options.input ?? '', options.timeoutMs ?? 30_000)
      if (ran.code !== 0 && options.mayFail !== true) throw new ProgramFailed(argv, ran)
      return ran
    },
    endAll: async () => {
      const left = [...running]
      for (const child of left) child.kill('SIGKILL')
      await Promise.all(left.map(exited))
    },
  }
}

/** Resolves when the child has ended, at once if it has already. */
export async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  await new Promise<void>((resolve) => child.once('exit', () => resolve()))
}

/** What programs of a lab get to see; nothing of the caller's environment leaks into a test. */
export function labEnvironment(): Record<string, string> {
  return { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/root', TERM: 'dumb' }
}

function finish(child: ChildProcess, input: string, timeoutMs: number): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
    // A program that does not read its input closes the pipe early; its exit status tells the rest.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}
