// Errors an operator can act on. Every code is a row of ERROR_CODES, from which docs/errors.md is generated; the CLI
// prints `error: <message> (<code>)` and the row's hint.

import { ERROR_CODES, type ErrorCode } from './error-codes.ts'

export class ShuntError extends Error {
  readonly code: ErrorCode
  /** What to do about it. */
  readonly hint: string

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly hint?: string } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'ShuntError'
    this.code = code
    this.hint = options.hint ?? ERROR_CODES[code].hint
  }
}

/** What is wrong with one place of the input; never thrown, always collected. */
export interface Problem {
  readonly code: ErrorCode
  readonly severity: 'error' | 'warning'
  /** What is wrong and what was expected, as a sentence. */
  readonly message: string
  /** `Service default/web`, empty when the document has no readable identity. */
  readonly object: string
  /** `spec.ports[0].port`, empty for the document as a whole. */
  readonly field: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
}

/** `file:line: Service default/web: spec.ports[0].port: message`, leaving out what is not known. */
export function formatProblem(problem: Problem): string {
  const place =
    problem.file === undefined ? '' : `${problem.file}${problem.line === undefined ? '' : `:${problem.line}`}`
  return [place, problem.object, problem.field, problem.message].filter((part) => part !== '').join(': ')
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
