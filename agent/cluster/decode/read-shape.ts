// Reads a map by its shape: every default filled in, every wrong or unknown field an error with its place. What it gives
// after an error is only good enough to go on reading, for the object is refused.

import type { Cidr } from '../../model/cidr.ts'
import { formatDuration, parseDuration } from '../../model/duration.ts'
import { requiredCidrs } from './addresses.ts'
import { listed, type Fields } from './fields.ts'
import { describe } from './report.ts'
import type {
  CidrsShape,
  DurationShape,
  MapShape,
  MapsShape,
  NumberShape,
  Shape,
  TextShape,
  WordShape,
} from './shape.ts'

/** A duration is milliseconds. A field without a default that is not required may be undefined. */
export type Read<S> = S extends { readonly type: 'map'; readonly fields: infer F }
  ? { readonly [K in keyof F]: F[K] extends { readonly required: true } ? Read<F[K]> : Optional<F[K]> }
  : S extends { readonly type: 'maps'; readonly of: infer M }
    ? readonly Read<M>[]
    : S extends { readonly type: 'cidrs' }
      ? readonly Cidr[]
      : S extends { readonly type: 'word'; readonly words: readonly (infer W)[] }
        ? W
        : S extends { readonly type: 'text' }
          ? string
          : S extends { readonly type: 'flag' }
            ? boolean
            : number

type Optional<S> = S extends { readonly default: unknown } | { readonly type: 'maps' | 'cidrs' }
  ? Read<S>
  : Read<S> | undefined

export function readMap<S extends MapShape>(fields: Fields, shape: S): Read<S> {
  fields.refuseOthers(new Set(Object.keys(shape.fields)))
  const values: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(shape.fields)) {
    if (field.required === true && !fields.has(name))
      fields.report.error(fields.at(name), `missing: expected ${expected(field)}`)
    values[name] = readField(fields, name, field)
  }
  checkOneOf(fields, shape)
  for (const [low, high] of shape.notAbove ?? []) {
    const [least, most] = [values[low], values[high]]
    if (typeof least !== 'number' || typeof most !== 'number' || least <= most) continue
    const text = (value: number): string =>
      shape.fields[high]?.type === 'duration' ? formatDuration(value) : String(value)
    // Of a field that the author did not write the message must not say what to do about it there.
    if (fields.has(low))
      fields.report.error(fields.at(low), `must not be greater than ${high}, which is ${text(most)}`)
    else
      fields.report.error(fields.at(high), `must not be less than ${low}, which is ${text(least)} by default`)
  }
  // The loop above reads every field of the shape by its type, which is what the type says.
  return values as Read<S>
}

function readField(fields: Fields, name: string, shape: Shape): unknown {
  switch (shape.type) {
    case 'duration':
      return duration(fields, name, shape)
    case 'integer':
    case 'number':
      return number(fields, name, shape)
    case 'flag':
      return fields.flag(name) ?? shape.default
    case 'word':
      return word(fields, name, shape)
    case 'text':
      return text(fields, name, shape)
    case 'cidrs':
      return cidrs(fields, name, shape)
    case 'map': {
      const map = fields.map(name)
      return map && readMap(map, shape)
    }
    case 'maps':
      return maps(fields, name, shape)
  }
}

function duration(fields: Fields, name: string, shape: DurationShape): number | undefined {
  const value = fields.raw(name)
  if (value === undefined) return shape.default
  const ms = typeof value === 'string' ? parseDuration(value) : undefined
  if (ms !== undefined && ms >= shape.min && ms <= shape.max) return ms
  const hint = ms === undefined ? ', such as 10s, 1m30s or 500ms' : ''
  fields.report.error(fields.at(name), `expected ${expected(shape)}${hint}, found ${describe(value)}`)
  return undefined
}

function number(fields: Fields, name: string, shape: NumberShape): number | undefined {
  const value = fields.raw(name)
  if (value === undefined) return shape.default
  const whole = shape.type === 'number' || Number.isInteger(value)
  if (typeof value === 'number' && whole && value >= shape.min && value <= shape.max) return value
  const hint =
    typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))
      ? ' (a text; remove the quotes)'
      : ''
  fields.report.error(fields.at(name), `expected ${expected(shape)}, found ${describe(value)}${hint}`)
  return undefined
}

function word(fields: Fields, name: string, shape: WordShape): string | undefined {
  const value = fields.raw(name)
  if (value === undefined) return shape.default
  const found = shape.words.find((each) => each === value)
  if (found === undefined)
    fields.report.error(fields.at(name), `expected ${expected(shape)}, found ${describe(value)}`)
  return found
}

function text(fields: Fields, name: string, shape: TextShape): string | undefined {
  const value = fields.text(name)
  if (value === undefined) return undefined
  if (value.length <= shape.maxLength && new RegExp(shape.pattern).test(value)) return value
  fields.report.error(fields.at(name), `expected ${shape.rule}, found ${describe(value)}`)
  return undefined
}

function cidrs(fields: Fields, name: string, shape: CidrsShape): readonly Cidr[] {
  const found = requiredCidrs(fields, name)
  count(fields, name, found.length, shape.maxItems)
  return [...new Set(found)]
}

function maps(fields: Fields, name: string, shape: MapsShape): unknown[] {
  const items = fields.maps(name)
  if (!count(fields, name, items.length, shape.maxItems)) return []
  if (
    shape.minItems !== undefined &&
    items.length < shape.minItems &&
    fields.has(name) &&
    !fields.report.failed
  )
    fields.report.error(fields.at(name), `expected ${expected(shape)}, found an empty list`)
  const seen = new Set<string>()
  return items.map((item) => {
    const value: Readonly<Record<string, unknown>> = readMap(item, shape.of)
    if (shape.unique !== undefined) {
      const key = JSON.stringify(shape.unique.map((field) => value[field] ?? null))
      if (seen.has(key)) item.report.error(item.place, 'the same as an entry above it; expected each once')
      seen.add(key)
    }
    return value
  })
}

function count(fields: Fields, name: string, size: number, most: number): boolean {
  if (size <= most) return true
  fields.report.error(fields.at(name), `expected at most ${most} entries, found ${size}`)
  return false
}

function checkOneOf(fields: Fields, { oneOf }: MapShape): void {
  if (oneOf === undefined) return
  const given = oneOf.filter((name) => fields.has(name))
  if (given.length === 1) return
  const found = given.length === 0 ? 'none' : listed(given).replace(' or ', ' and ')
  fields.report.error(fields.place, `expected exactly one of ${listed(oneOf)}, found ${found}`)
}

/** What a field wants, as the object of "expected". */
export function expected(shape: Shape): string {
  switch (shape.type) {
    case 'duration':
      return `a duration from ${formatDuration(shape.min)} to ${formatDuration(shape.max)}`
    case 'integer':
      return `a whole number from ${shape.min} to ${shape.max}`
    case 'number':
      return `a number from ${shape.min} to ${shape.max}`
    case 'flag':
      return 'true or false'
    case 'word':
      return listed(shape.words.map((each) => (each === '' ? '""' : each)))
    case 'text':
      return shape.rule
    case 'cidrs':
      return 'a list of address ranges'
    case 'map':
      return 'a map'
    case 'maps':
      return `a list of ${shape.minItems ?? 0} to ${shape.maxItems} maps`
  }
}
