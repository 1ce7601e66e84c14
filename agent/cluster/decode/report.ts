// What a decoder found wrong with one object. Errors make the object unusable, warnings do not.

import type { ErrorCode } from '../../model/error-codes.ts'
import type { Problem } from '../../model/errors.ts'
import { placeText, type Place } from './place.ts'

/** A decoded value, or undefined when it is unusable (an error says why) or has no effect on the data plane. */
export interface Decoding<T> {
  readonly value: T | undefined
  readonly problems: readonly Problem[]
}

export class Report {
  readonly problems: Problem[] = []
  /** `Service default/web`, once it is known. */
  object = ''
  /** True when there is an error among the problems. */
  failed = false

  error(place: Place | undefined, message: string): void {
    this.failed = true
    this.#add('error', 'OBJECT_INVALID', place, message)
  }

  warn(place: Place | undefined, message: string, code: ErrorCode = 'OBJECT_INVALID'): void {
    this.#add('warning', code, place, message)
  }

  #add(severity: Problem['severity'], code: ErrorCode, place: Place | undefined, message: string): void {
    // A list of a thousand bad entries needs no thousand lines to be understood.
    if (this.problems.length === MOST_PROBLEMS) return
    const last = this.problems.length === MOST_PROBLEMS - 1
    const text = last ? `${message} (further problems of this object are not listed)` : message
    this.problems.push({ code, severity, message: text, object: this.object, field: placeText(place) })
  }
}

const MOST_PROBLEMS = 50

/** The value as a reader would recognise it in the file: short, on one line. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  }
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) return 'a map'
  return String(value)
}
