// Runs system programs: absolute paths from system folders only, no shell, the C locale, an environment of two
// variables, texts through stdin, and a deadline that kills the child.
//
//   run()      any exit code is an answer          throws PROGRAM_MISSING, PROGRAM_TIMEOUT
//   mustRun()  only exit code 0 is an answer       throws PROGRAM_FAILED too, with the end of stderr

import { spawn, type ChildProcess } from 'node:child_process'
import { Readable, type Writable } from 'node:stream'

import { ShuntError } from '../model/errors.ts'
import { PROGRAM_FOLDERS, resolveProgram } from './programs.ts'

export { resolveProgram } from './programs.ts'

export interface Command {
  /** Bare name, such as `iptables-restore`; looked up in system folders. */
  readonly program: string
  readonly args: readonly string[]
  /** Text for stdin; without it stdin is /dev/null. */
  readonly stdin?: string
  /** Instead of `stdin`, for texts that are too big to be held at once; drawn as the program reads. */
  readonly stdinPieces?: Iterable<string>
  /** Takes stdout as it comes, in pieces cut anywhere; the result's stdout is then empty. */
  readonly onStdout?: (piece: string) => void
  /** Default {@link DEFAULT_TIMEOUT_MS}. */
  readonly timeoutMs?: number
}

export interface CommandResult {
  /** 128 + the signal's number for a program that died of a signal. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** From the start of the process to the end of its output. */
  readonly durationMs: number
}

export interface CommandRunner {
  /**
   * Runs to the end. Throws a ShuntError PROGRAM_MISSING or PROGRAM_TIMEOUT; when `signal` aborts, kills the program
   * and throws the signal's reason.
   */
  run(command: Command, signal?: AbortSignal): Promise<CommandResult>
}

/** A full restore of 10,000 Services takes iptables-nft half a minute. */
export const DEFAULT_TIMEOUT_MS = 120_000

/** How long a killed program may take to disappear before it is given up (it sleeps in the kernel). */
const KILL_GRACE_MS = 2_000
const STDERR_TAIL_CHARS = 2_000

/** xtables and ipset print numbers and messages by locale; the programs' own children (modprobe) need a PATH. */
export const PROGRAM_ENVIRONMENT = { LC_ALL: 'C', PATH: PROGRAM_FOLDERS.join(':') }

export function createCommandRunner(): CommandRunner {
  return {
    run: async (command, signal) => {
      const path = resolveProgram(command.program)
      if (path === undefined)
        throw new ShuntError(
          'PROGRAM_MISSING',
          `${command.program} is not in any of ${PROGRAM_FOLDERS.join(', ')}`,
          { hint: `install the package that has ${command.program}` },
        )
      signal?.throwIfAborted()
      return await runToEnd(path, command, signal)
    },
  }
}

/** Runs and throws PROGRAM_FAILED unless the exit code is 0. */
export async function mustRun(
  runner: CommandRunner,
  command: Command,
  signal?: AbortSignal,
): Promise<CommandResult> {
  const result = await runner.run(command, signal)
  if (result.exitCode === 0) return result
  throw new ShuntError(
    'PROGRAM_FAILED',
    `${commandLine(command)} ended with code ${result.exitCode}: ${tailOf(result.stderr)}`,
  )
}

/** For messages and logs. */
export function commandLine(command: Command): string {
  return [command.program, ...command.args].join(' ')
}

function tailOf(stderr: string): string {
  const text = stderr.trim()
  if (text === '') return 'it said nothing'
  return text.length > STDERR_TAIL_CHARS ? `…${text.slice(-STDERR_TAIL_CHARS)}` : text
}

async function runToEnd(
  path: string,
  command: Command,
  signal: AbortSignal | undefined,
): Promise<CommandResult> {
  const startedMs = performance.now()
  const timeoutMs = command.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const child = spawn(path, command.args, {
    env: PROGRAM_ENVIRONMENT,
    cwd: '/',
    shell: false,
    stdio: [hasInput(command) ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    windowsHide: true,
  })
  const ended = Promise.withResolvers<number>()
  child.once('error', (cause) => {
    ended.reject(
      new ShuntError('PROGRAM_MISSING', `${path} could not be started: ${cause.message}`, { cause }),
    )
  })
  let stopped: { readonly reason: unknown } | undefined
  child.once('close', (code, signalName) => {
    // A program whose pipes were closed already is "closed" in the very moment that it dies of our signal.
    if (stopped !== undefined) ended.reject(stopped.reason)
    else ended.resolve(code ?? 128 + (signalName === null ? 0 : (SIGNAL_NUMBERS[signalName] ?? 0)))
  })

  const stop = (reason: unknown): void => {
    stopped ??= { reason }
    void killed(child).then(() => {
      ended.reject(reason)
    })
  }
  const { onStdout } = command
  const stdout = onStdout === undefined ? collect(child.stdout) : hand(child.stdout, onStdout, stop)
  const stderr = collect(child.stderr)
  if (child.stdin !== null) feed(child.stdin, command, stop)
  const deadline = setTimeout(() => {
    const message = `${commandLine(command)} did not finish within ${timeoutMs} ms and was killed`
    stop(new ShuntError('PROGRAM_TIMEOUT', message))
  }, timeoutMs)
  const onAbort = (): void => {
    stop(signal?.reason)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const exitCode = await ended.promise
    return { exitCode, stdout: stdout(), stderr: stderr(), durationMs: performance.now() - startedMs }
  } finally {
    clearTimeout(deadline)
    signal?.removeEventListener('abort', onAbort)
  }
}

const SIGNAL_NUMBERS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
}

/** Chunks are joined once at the end: `iptables-save` of 10,000 Services is some 20 MB in thousands of chunks. */
function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = []
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

/** Pieces are whole characters, although chunks may cut one. */
function hand(
  stream: Readable | null,
  take: (piece: string) => void,
  stop: (reason: unknown) => void,
): () => string {
  stream?.setEncoding('utf8').on('data', (piece: string) => {
    try {
      take(piece)
    } catch (error) {
      stop(error)
    }
  })
  return () => ''
}

function hasInput({ stdin, stdinPieces }: Command): boolean {
  return stdin !== undefined || stdinPieces !== undefined
}

function feed(
  stdin: Writable,
  { stdin: text, stdinPieces: pieces }: Command,
  stop: (reason: unknown) => void,
): void {
  // A program that refuses its input early closes the pipe; its exit code and stderr tell, not our EPIPE.
  stdin.on('error', () => {})
  if (pieces === undefined) stdin.end(text)
  else Readable.from(drawn(pieces, stop)).pipe(stdin)
}

function* drawn(pieces: Iterable<string>, stop: (reason: unknown) => void): Generator<string> {
  try {
    yield* pieces
  } catch (error) {
    stop(error)
  }
}

/** Kills, and waits until the process is gone or KILL_GRACE_MS are over, so that its locks are free again. */
async function killed(child: ChildProcess): Promise<void> {
  const gone = Promise.withResolvers<void>()
  if (child.exitCode !== null || child.signalCode !== null) gone.resolve()
  child.once('exit', () => {
    gone.resolve()
  })
  const grace = setTimeout(() => {
    gone.resolve()
  }, KILL_GRACE_MS)
  child.kill('SIGKILL')
  await gone.promise
  clearTimeout(grace)
  // A grandchild may still hold the other ends; nobody reads them any more.
  child.stdin?.destroy()
  child.stdout?.destroy()
  child.stderr?.destroy()
}
