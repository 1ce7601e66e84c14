// What an API server does with a structural schema: fills in defaults, then refuses unknown fields, wrong types, values out
// of bounds and broken rules. As much of it as our schemas use; a keyword that is not known throws.

import { runCel } from './cel.ts'

export interface Schema {
  readonly description?: string
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly format?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly pattern?: string
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[]
}

const KEYWORDS: ReadonlySet<string> = new Set([
  'description',
  'type',
  'format',
  'default',
  'properties',
  'required',
  'items',
  'enum',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'pattern',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
])

/** Paths of the nodes that no API server would take as part of a structural schema, with the reason. */
export function structuralFaults(schema: Schema, path = ''): string[] {
  const own = [
    ...Object.keys(schema).flatMap((key) => (KEYWORDS.has(key) ? [] : [`unknown keyword ${key}`])),
    ...(schema.type === 'object' && schema.properties === undefined && path !== '.metadata'
      ? ['an object without properties']
      : []),
    ...(schema.type === 'array' && schema.items === undefined ? ['an array without items'] : []),
    ...(schema.type === 'array' && schema.maxItems === undefined ? ['an array without a bound'] : []),
    ...(schema.default !== undefined && validate(schema.default, { ...schema, default: undefined }).length > 0
      ? ['a default that is not valid']
      : []),
    ...(schema.required ?? []).flatMap((name) =>
      schema.properties?.[name] === undefined ? [`requires ${name}, which it does not have`] : [],
    ),
  ].map((fault) => `${path}: ${fault}`)
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, each]) =>
    structuralFaults(each, `${path}.${name}`),
  )
  return [
    ...own,
    ...below,
    ...(schema.items === undefined ? [] : structuralFaults(schema.items, `${path}[]`)),
  ]
}

/** The value with the schema's defaults, as the API server stores it. */
export function withDefaults(value: unknown, schema: Schema): unknown {
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema
    return value.map((item: unknown) => withDefaults(item, items))
  }
  if (!isObject(value) || schema.properties === undefined) return value
  const filled: Record<string, unknown> = { ...value }
  for (const [name, each] of Object.entries(schema.properties)) {
    if (filled[name] === undefined && each.default !== undefined) filled[name] = each.default
    if (filled[name] !== undefined) filled[name] = withDefaults(filled[name], each)
  }
  return filled
}

/** What is wrong with a value that has its defaults; rules are run only if nothing else is wrong. */
export function validate(value: unknown, schema: Schema, path = ''): string[] {
  const faults = shapeFaults(value, schema, path)
  return faults.length > 0 ? faults : ruleFaults(value, schema, path)
}

function shapeFaults(value: unknown, schema: Schema, path: string): string[] {
  const wrong = (text: string): string[] => [`${path}: ${text}`]
  if (schema.enum !== undefined && !schema.enum.includes(value)) return wrong('not one of the words')
  switch (schema.type) {
    case 'object':
      return isObject(value) ? objectFaults(value, schema, path) : wrong('not an object')
    case 'array':
      if (!Array.isArray(value)) return wrong('not a list')
      if (value.length < (schema.minItems ?? 0)) return wrong('too few items')
      if (value.length > (schema.maxItems ?? Infinity)) return wrong('too many items')
      return value.flatMap((item: unknown, i) =>
        schema.items === undefined ? [] : shapeFaults(item, schema.items, `${path}[${i}]`),
      )
    case 'string':
      if (typeof value !== 'string') return wrong('not a string')
      if (value.length < (schema.minLength ?? 0)) return wrong('too short')
      if (value.length > (schema.maxLength ?? Infinity)) return wrong('too long')
      return schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)
        ? wrong('does not match')
        : []
    case 'boolean':
      return typeof value === 'boolean' ? [] : wrong('not a boolean')
    case 'integer':
    case 'number':
      if (typeof value !== 'number') return wrong('not a number')
      if (schema.type === 'integer' && !Number.isInteger(value)) return wrong('not an integer')
      return value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity)
        ? wrong('out of bounds')
        : []
  }
}

function objectFaults(value: Readonly<Record<string, unknown>>, schema: Schema, path: string): string[] {
  const properties = schema.properties ?? {}
  return [
    ...(schema.required ?? []).flatMap((name) =>
      value[name] === undefined ? [`${path}.${name}: missing`] : [],
    ),
    ...Object.entries(value).flatMap(([name, each]) => {
      const own = Object.hasOwn(properties, name) ? properties[name] : undefined
      if (own !== undefined) return shapeFaults(each, own, `${path}.${name}`)
      return schema.properties === undefined ? [] : [`${path}.${name}: unknown`]
    }),
  ]
}

function ruleFaults(value: unknown, schema: Schema, path: string): string[] {
  const own = (schema['x-kubernetes-validations'] ?? []).flatMap(({ rule, message }) =>
    runCel(rule, value) === true ? [] : [`${path}: ${message}`],
  )
  const below = isObject(value)
    ? Object.entries(schema.properties ?? {}).flatMap(([name, each]) =>
        value[name] === undefined ? [] : ruleFaults(value[name], each, `${path}.${name}`),
      )
    : []
  const items =
    Array.isArray(value) && schema.items !== undefined
      ? value.flatMap((item: unknown, i) =>
          schema.items === undefined ? [] : ruleFaults(item, schema.items, `${path}[${i}]`),
        )
      : []
  return [...own, ...below, ...items]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
