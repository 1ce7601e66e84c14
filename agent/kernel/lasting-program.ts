// A system program that runs for as long as this process needs it: lines go in, lines come out. Started as kernel/
// command.ts starts programs: absolute path, the C locale, no shell.

import { spawn } from 'node:child_process'

import { ShuntError } from '../model/errors.ts'
import { PROGRAM_ENVIRONMENT } from './command.ts'
import { resolveProgram } from './programs.ts'

export interface LastingProgram {
  /** Nothing happens if it has ended. */
  write(lines: readonly string[]): void
  /** undefined: it runs. */
  readonly problem: string | undefined
  /** By the end of its input, so that it does what was written before; or by a signal, if it reads none. */
  close(): void
}

export interface LastingProgramHears {
  readonly stdout?: (line: string) => void
  readonly stderr?: (line: string) => void
}

/** Throws PROGRAM_MISSING. Keeps this process alive until it is closed. */
export function startLastingProgram(
  program: string,
  args: readonly string[],
  hears: LastingProgramHears,
  endsBy: 'input' | 'signal',
): LastingProgram {
  const path = resolveProgram(program)
  if (path === undefined) throw new ShuntError('PROGRAM_MISSING', `${program} is not installed`)
  const child = spawn(path, args, { stdio: 'pipe', env: PROGRAM_ENVIRONMENT })
  let problem: string | undefined
  child.on('error', (error) => (problem = error.message))
  child.on('exit', (code, signal) => (problem ??= `${program} ended with ${signal ?? code}`))
  // Writing to a program that has just ended; its exit says it.
  child.stdin.on('error', () => {})
  for (const name of ['stdout', 'stderr'] as const) {
    const take = hears[name] ?? (() => {})
    let rest = ''
    child[name].setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = (lines.pop() ?? '').slice(-MAX_LINE_CHARACTERS)
      for (const line of lines) if (line !== '') take(line)
    })
  }
  return {
    write: (lines) => void child.stdin.write(`${lines.join('\n')}\n`),
    get problem() {
      return problem
    },
    close() {
      child.stdin.end()
      if (endsBy === 'signal') child.kill()
    },
  }
}

const MAX_LINE_CHARACTERS = 64_000
