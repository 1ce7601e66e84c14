// Exit codes, and how an error reaches the operator: `error: <what> (<code>)` and a `hint:` line on stderr.

import { messageOf, ShuntError } from '../model/errors.ts'
import type { ErrorCode } from '../model/error-codes.ts'

export const EXIT = {
  ok: 0,
  /** The command ran and the answer is bad, or it could not do its work. */
  failed: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** The agent or the proxy is not running, or not ready yet; trying again later may help. */
  notReady: 3,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

const USAGE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['USAGE', 'CONFIG_INVALID'])
const NOT_READY_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['NOT_READY', 'PEER_UNREACHABLE'])

/** The exit code for anything that was thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof ShuntError)) return EXIT.failed
  if (USAGE_CODES.has(error.code)) return EXIT.usage
  return NOT_READY_CODES.has(error.code) ? EXIT.notReady : EXIT.failed
}

/** Two lines for stderr. What is not a ShuntError is a bug and says so, with where it came from. */
export function formatError(error: unknown): string {
  const known =
    error instanceof ShuntError ? error : new ShuntError('INTERNAL', messageOf(error), { cause: error })
  const where =
    known.code === 'INTERNAL' && error instanceof Error && error.stack !== undefined ? [error.stack] : []
  return `${[`error: ${known.message} (${known.code})`, `hint: ${known.hint}`, ...where].join('\n')}\n`
}
