// The types that an option can have: each reads text (flag, environment) and YAML values, and says what it expected.

import { resolve } from 'node:path'
import { parseCidr, type Cidr } from '../model/cidr.ts'
import { parseIp, type Ip } from '../model/ip.ts'
import { formatDuration, parseDuration } from './duration.ts'

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  /** A phrase that completes "expected …". */
  | { readonly ok: false; readonly expected: string }

export interface ValueType<T> {
  /** As documents show it: `duration`, `cidr list`. */
  readonly name: string
  /** True for flags that need no value. */
  readonly bare?: boolean
  /** From a flag or the environment. */
  parse(text: string): Read<T>
  /** From a YAML value. */
  decode(value: unknown): Read<T>
  format(value: T): string
}

/** `host:port`; undefined: not served. */
export type Address = { readonly host: Ip; readonly port: number } | undefined

/** Where lines are written. */
export type LinesPlace =
  | { readonly kind: 'off' }
  | { readonly kind: 'stdout' | 'stderr' }
  /** Absolute. */
  | { readonly kind: 'file'; readonly path: string }

export const text: ValueType<string> = scalar('text', (given) => ok(given.trim()), String)

/** A file or folder; '' means none. Relative paths start at the working folder. */
export const path: ValueType<string> = scalar(
  'path',
  (given) => (given.includes('\0') ? bad('a path') : ok(given === '' ? '' : resolve(given))),
  String,
)

/** `off`, `stdout`, `stderr`, or a file; one of these names is a file as `./off`. */
export const linesPlace: ValueType<LinesPlace> = scalar<LinesPlace>(
  'place',
  (given) => {
    const word = given.trim()
    if (word === 'off' || word === 'stdout' || word === 'stderr') return ok({ kind: word })
    return word === '' || word.includes('\0')
      ? bad('off, stdout, stderr or the path of a file')
      : ok({ kind: 'file', path: resolve(word) })
  },
  (value) => (value.kind === 'file' ? value.path : value.kind),
)

export const flag: ValueType<boolean> = {
  name: 'true or false',
  bare: true,
  parse(given) {
    if (['true', '1', 'yes', 'on'].includes(given.toLowerCase())) return ok(true)
    return ['false', '0', 'no', 'off'].includes(given.toLowerCase()) ? ok(false) : bad('true or false')
  },
  decode: (value) => (typeof value === 'boolean' ? ok(value) : bad('true or false')),
  format: String,
}

/** Milliseconds, written as Go writes durations. */
export function duration(range: { readonly minMs: number; readonly maxMs?: number }): ValueType<number> {
  const maxMs = range.maxMs ?? Infinity
  const expected = `a duration such as 30s or 250ms, at least ${formatDuration(range.minMs)}${
    maxMs === Infinity ? '' : ` and at most ${formatDuration(maxMs)}`
  }`
  return scalar(
    'duration',
    (given) => {
      const ms = parseDuration(given)
      return ms === undefined || ms < range.minMs || ms > maxMs ? bad(expected) : ok(ms)
    },
    formatDuration,
  )
}

export function integer(min: number, max: number): ValueType<number> {
  const expected = `a whole number from ${min} to ${max}`
  const check = (value: number): Read<number> =>
    Number.isInteger(value) && value >= min && value <= max ? ok(value) : bad(expected)
  return {
    name: 'number',
    parse: (given) => (/^-?\d{1,15}$/.test(given.trim()) ? check(Number(given)) : bad(expected)),
    decode: (value) => (typeof value === 'number' ? check(value) : bad(expected)),
    format: String,
  }
}

/** One of a few words. */
export function choice<const T extends string>(words: readonly T[]): ValueType<T> {
  return scalar(
    words.join(' | '),
    (given) => {
      const found = words.find((word) => word.toLowerCase() === given.trim().toLowerCase())
      return found === undefined ? bad(`one of ${words.join(', ')}`) : ok(found)
    },
    String,
  )
}

/** Ranges, separated by commas in flags, a list or such a text in YAML. */
export const cidrs: ValueType<readonly Cidr[]> = list('range', 'CIDR ranges such as 10.244.0.0/16', parseCidr)

/** `primary` alone, or ranges (row 16). */
export const nodePortAddresses: ValueType<'primary' | readonly Cidr[]> = {
  name: 'primary | range list',
  parse: (given) => (given.trim() === 'primary' ? ok<'primary'>('primary') : cidrs.parse(given)),
  decode(value) {
    if (value === 'primary' || (Array.isArray(value) && value.length === 1 && value[0] === 'primary'))
      return ok<'primary'>('primary')
    const read = cidrs.decode(value)
    return read.ok ? read : bad('`primary` alone, or CIDR ranges such as 10.0.0.0/8')
  },
  format: (value) => (value === 'primary' ? value : cidrs.format(value)),
}

/** Where something listens; `off` or '' for nowhere. */
export const address: ValueType<Address> = scalar<Address>(
  'ip:port | off',
  (given) => {
    if (given.trim() === '' || given.trim() === 'off') return ok(undefined)
    const found = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(given.trim())
    const host = parseIp(found?.[1] ?? found?.[2] ?? '')
    const port = Number(found?.[3])
    return host === undefined || !(port >= 0 && port <= 65_535)
      ? bad('an address such as 127.0.0.1:10249 or [::1]:10249, or off')
      : ok({ host, port })
  },
  (value) =>
    value === undefined
      ? 'off'
      : `${value.host.includes(':') ? `[${value.host}]` : value.host}:${value.port}`,
)

export function ok<T>(value: T): Read<T> {
  return { ok: true, value }
}

export function bad(expected: string): { readonly ok: false; readonly expected: string } {
  return { ok: false, expected }
}

/** A type whose YAML form is the same text. */
function scalar<T>(
  name: string,
  parse: (given: string) => Read<T>,
  format: (value: T) => string,
): ValueType<T> {
  return { name, parse, decode: (value) => (typeof value === 'string' ? parse(value) : bad('text')), format }
}

function list<T extends string>(
  noun: string,
  expected: string,
  parseOne: (given: string) => T | undefined,
): ValueType<readonly T[]> {
  const all = (given: readonly unknown[]): Read<readonly T[]> => {
    const values: T[] = []
    for (const one of given) {
      const value = typeof one === 'string' ? parseOne(one) : undefined
      if (value === undefined) return bad(`${expected}; ${shown(one)} is none`)
      if (!values.includes(value)) values.push(value)
    }
    return ok(values)
  }
  const parse = (given: string): Read<readonly T[]> =>
    all(
      given
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== ''),
    )
  return {
    name: `${noun} list`,
    parse,
    decode: (value) =>
      typeof value === 'string' ? parse(value) : Array.isArray(value) ? all(value) : bad(expected),
    format: (values) => values.join(','),
  }
}

/** A value in a message; lists and maps by their kind alone, because they may be large or contain themselves. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  return typeof value === 'object' && value !== null ? 'a list or map' : String(value)
}
