// The load tool (C++, beside this file) as tests and benchmarks use it: built when first asked for, started at a place of
// a lab, its lines of JSON read as they come. Every byte that it gets back is compared, so a fast wrong answer is a
// failure. It ends with whoever started it.

import { execFile, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

export type LoadMode = keyof LoadResults

/** What the last line of each mode says. */
export interface LoadResults {
  /** Endpoints, good and bad ones: `on` takes `ADDRESS:PORT=BEHAVIOUR` (behaviour.h). */
  readonly serve: ServeResult
  /** Short connections: `to`, `count` or `seconds`, `concurrency` or `rate`. */
  readonly conns: ConnsResult
  /** Messages to and fro on connections that stay: `connections`, `seconds`, perhaps `rate`. */
  readonly pingpong: PingPongResult
  /** Streams: `up`, `down` (bytes each), `streams`, perhaps chunks, pauses and slow readers. */
  readonly bulk: BulkResult
  /** Connections held in silence: `count`; asked once more at the end. */
  readonly idle: IdleResult
  /** Takes every pipe that its user may have, and holds them. */
  readonly pipes: { readonly pipes: number }
}

/** Microseconds. */
export interface LatenciesUs {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export interface Failed {
  readonly failed: number
  /** `connect ECONNREFUSED`: how often. */
  readonly failedBy: Readonly<Record<string, number>>
  /** Wall clock. */
  readonly firstFailureMs?: number
  readonly lastFailureMs?: number
  readonly failures: readonly {
    readonly startedMs: number
    readonly atMs: number
    readonly phase: string
    readonly code: string
  }[]
}

export interface ServeResult {
  readonly listeners: readonly {
    readonly address: string
    readonly behaviour: string
    readonly saw: Sight
  }[]
}

export interface Sight {
  readonly accepted: number
  readonly open: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly closed: number
  readonly reset: number
  readonly endedByServer: number
  readonly silent: number
  readonly streams: number
  readonly wrongStreams: number
  readonly firstProblem: string
}

export interface ConnsResult extends Failed {
  readonly startedMs: number
  readonly seconds: number
  readonly started: number
  readonly answered: number
  readonly open: number
  readonly perSecond: number
  /** At a fixed rate: how often a connection was put off because too many were open. */
  readonly behind: number
  readonly connectUs: LatenciesUs
  readonly exchangeUs: LatenciesUs
}

export interface PingPongResult {
  /** Empty: every answer was right. */
  readonly problem: string
  readonly seconds: number
  readonly roundTrips: number
  readonly perSecond: number
  readonly latencyUs: LatenciesUs
}

export interface BulkResult {
  readonly seconds: number
  readonly complete: number
  readonly open: number
  readonly wrong: number
  /** The first of them; empty: every byte was right, and every end in its place. */
  readonly problem: string
  readonly bytesUp: number
  readonly bytesDown: number
  readonly gbPerSecond: number
}

export interface IdleResult extends Failed {
  readonly whole: number
  readonly stillWhole: number
}

/** `{ to: ['10.96.0.1:80'], count: 3000 }` is `--to 10.96.0.1:80 --count 3000`. */
export type LoadArguments = Readonly<Record<string, string | number | readonly string[]>>

export interface Load<M extends LoadMode> {
  readonly pid: number
  /** It listens, runs, or (`idle`) holds all its connections. */
  readonly begun: Promise<void>
  readonly result: Promise<LoadResults[M]>
  /** What the result would be now; not of `pingpong` and `idle`. */
  report(): Promise<LoadResults[M]>
  /** Tells it to end. */
  end(): Promise<LoadResults[M]>
}

type Spawn = (
  argv: readonly string[],
  options: { readonly stdio: ['ignore', 'pipe', 'pipe'] },
) => ChildProcess

let built: Promise<string> | undefined

/** Path of the program. */
export function buildLoad(): Promise<string> {
  built ??= promisify(execFile)('/usr/bin/make', ['-s', '-C', import.meta.dirname]).then(
    () => `${import.meta.dirname}/build/load`,
  )
  return built
}

/** @param spawn starts a command line at the place where the load is to be, as `lab.spawn` does */
export async function startLoad<M extends LoadMode>(
  spawn: Spawn,
  mode: M,
  given: LoadArguments,
): Promise<Load<M>> {
  const child = spawn([await buildLoad(), mode, ...flagsOf(given)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const waiting = new Map<string, ((line: object) => void)[]>()
  const next = (event: string): Promise<object> =>
    new Promise((resolve) => {
      waiting.set(event, [...(waiting.get(event) ?? []), resolve])
    })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const died = new Promise<never>((_, reject) => {
    child.once('error', reject)
    // After `close` all lines have been read: who still waits then waits for nothing.
    child.once('close', (code, signal) =>
      reject(new Error(`load ${mode} ended with ${code ?? signal}: ${errors.trim()}`)),
    )
  })
  died.catch(() => undefined)
  if (child.stdout === null) throw new Error('the load tool needs its output piped')
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as { event: string }
    const takers = waiting.get(said.event) ?? []
    waiting.delete(said.event)
    for (const take of takers) take(said)
  })
  const begun = Promise.race([next('started'), next('ready'), died]).then(() => undefined)
  const result = Promise.race([next('result') as Promise<LoadResults[M]>, died])
  begun.catch(() => undefined)
  result.catch(() => undefined)
  return {
    pid: child.pid ?? 0,
    begun,
    result,
    report: () => {
      const report = Promise.race([next('report') as Promise<LoadResults[M]>, died])
      child.kill('SIGUSR1')
      return report
    },
    end: () => {
      child.kill('SIGTERM')
      return result
    },
  }
}

/** Starts it and waits for its result. */
export async function runLoad<M extends LoadMode>(
  spawn: Spawn,
  mode: M,
  given: LoadArguments,
): Promise<LoadResults[M]> {
  return (await startLoad(spawn, mode, given)).result
}

function flagsOf(given: LoadArguments): readonly string[] {
  return Object.entries(given).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as readonly string[]) : [String(value)]).flatMap((one) => [
      `--${name}`,
      one,
    ]),
  )
}
