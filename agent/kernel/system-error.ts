// What a failed system call means for an operator.

import os from 'node:os'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

import type { ErrorCode } from '../model/error-codes.ts'
import { messageOf, ShuntError } from '../model/errors.ts'

/** Runs a call of the addon; what it throws becomes a ShuntError that says what was tried, on what. */
export function kernelCall<T>(what: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === undefined)
      throw new ShuntError('INTERNAL', `${what}: ${messageOf(error)}`, { cause: error })
    throw new ShuntError(codeOf(errno), `${what}: ${messageOf(error)}`, { cause: error })
  }
}

/** For an errno that the kernel answered with, 0 excluded. */
export function kernelError(what: string, errno: number): ShuntError {
  return new ShuntError(codeOf(errno), `${what}: ${getSystemErrorMessage(-errno)} (${errnoName(errno)})`)
}

/** `ECONNREFUSED` for 111. */
export function errnoName(errno: number): string {
  return getSystemErrorName(-errno)
}

/** The errno of an error of the addon, or of one that kernelCall made from it; undefined: not a system call's. */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  if ('errno' in error && typeof error.errno === 'number') return error.errno
  return errnoOf(error.cause)
}

const { EACCES, EADDRINUSE, EPERM } = os.constants.errno

function codeOf(errno: number): ErrorCode {
  if (errno === EADDRINUSE) return 'ADDRESS_IN_USE'
  if (errno === EPERM || errno === EACCES) return 'NOT_PERMITTED'
  return 'KERNEL_REFUSED'
}
