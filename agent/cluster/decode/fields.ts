// Reading an object of unknown shape, field by field: every method checks the type, reports what was expected and found
// with the exact place, and returns undefined for absent and for wrong alike. As in the API, null means absent.

import { kept } from './kept.ts'
import type { Place } from './place.ts'
import { describe, type Report } from './report.ts'
import { nearest } from './spelling.ts'

export class Fields {
  readonly place: Place | undefined
  readonly report: Report
  readonly #values: Readonly<Record<string, unknown>>

  private constructor(values: Readonly<Record<string, unknown>>, place: Place | undefined, report: Report) {
    this.#values = values
    this.place = place
    this.report = report
  }

  /** Undefined, with an error reported, when the value is not a map. */
  static read(value: unknown, place: Place | undefined, report: Report): Fields | undefined {
    if (isMap(value)) return new Fields(value, place, report)
    report.error(place, `expected a map, found ${describe(value)}`)
    return undefined
  }

  at(key: string): Place {
    return { parent: this.place, step: key }
  }

  /** The raw value; undefined for absent and null. */
  raw(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? (this.#values[key] ?? undefined) : undefined
  }

  has(key: string): boolean {
    return this.raw(key) !== undefined
  }

  text(key: string): string | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    if (typeof value === 'string') return kept(value)
    const hint = typeof value === 'number' || typeof value === 'boolean' ? '; put it in quotes' : ''
    this.report.error(this.at(key), `expected a text, found ${describe(value)}${hint}`)
    return undefined
  }

  /** One of the given words, spelled exactly so; the fallback when absent or wrong. */
  oneOf<T extends string>(key: string, words: readonly T[], fallback: T): T {
    const value = this.raw(key)
    if (value === undefined) return fallback
    const word = words.find((candidate) => candidate === value)
    if (word !== undefined) return word
    this.report.error(this.at(key), `expected ${listed(words)}, found ${describe(value)}`)
    return fallback
  }

  integer(key: string, least: number, most: number): number | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    const hint = typeof value === 'string' && /^\d+$/.test(value) ? ' (a text; remove the quotes)' : ''
    this.report.error(
      this.at(key),
      `expected a whole number from ${least} to ${most}, found ${describe(value)}${hint}`,
    )
    return undefined
  }

  flag(key: string): boolean | undefined {
    const value = this.raw(key)
    if (value === undefined || typeof value === 'boolean') return value
    this.report.error(this.at(key), `expected true or false, found ${describe(value)}`)
    return undefined
  }

  map(key: string): Fields | undefined {
    const value = this.raw(key)
    return value === undefined ? undefined : Fields.read(value, this.at(key), this.report)
  }

  /** The maps of a list; entries that are none are reported and left out. */
  maps(key: string): Fields[] {
    const found: Fields[] = []
    const at = this.at(key)
    for (const [i, value] of this.#list(key).entries()) {
      const fields = Fields.read(value, { parent: at, step: i }, this.report)
      if (fields !== undefined) found.push(fields)
    }
    return found
  }

  /** The texts of a list with their places; entries that are none are reported and left out. */
  texts(key: string): { readonly text: string; readonly place: Place }[] {
    const found: { text: string; place: Place }[] = []
    const at = this.at(key)
    for (const [i, value] of this.#list(key).entries()) {
      const place = { parent: at, step: i }
      if (typeof value === 'string') found.push({ text: kept(value), place })
      else this.report.error(place, `expected a text, found ${describe(value)}`)
    }
    return found
  }

  /** Field names of the map. */
  names(): string[] {
    return Object.keys(this.#values)
  }

  /** Warns of every field that is not in the table. */
  only(known: ReadonlySet<string>): void {
    for (const { name, hint } of this.#others(known))
      this.report.warn(this.at(name), `unknown field, it is ignored${hint}`, 'FIELD_UNKNOWN')
  }

  /**
   * The same as errors, for kinds of ours: half a policy in force is worse than the last good one, and the API server
   * refuses such an object too.
   */
  refuseOthers(known: ReadonlySet<string>): void {
    for (const { name, hint } of this.#others(known)) this.report.error(this.at(name), `unknown field${hint}`)
  }

  #others(known: ReadonlySet<string>): { readonly name: string; readonly hint: string }[] {
    return this.names()
      .filter((name) => !known.has(name))
      .map((name) => {
        const meant = nearest(name, known)
        return { name, hint: meant === undefined ? '' : `; did you mean ${meant}?` }
      })
  }

  #list(key: string): readonly unknown[] {
    const value = this.raw(key)
    if (value === undefined) return []
    if (Array.isArray(value)) return value
    this.report.error(this.at(key), `expected a list, found ${describe(value)}`)
    return []
  }
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `a, b or c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}
