// What JSON.parse does not tell: held to what it does tell.

import test from 'ava'
import * as fc from 'fast-check'
import { findFlaw, JsonPlaces } from '../../agent/cluster/json-scan.ts'
import { jsonMistake } from '../../agent/cluster/json-syntax.ts'
import { pathText, parsePath, type Step } from '../../agent/cluster/decode/place.ts'

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function* pathsOf(
  value: unknown,
  path: readonly Step[] = [],
): Generator<readonly [readonly Step[], unknown]> {
  yield [path, value]
  if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* pathsOf(item, [...path, i])
  else if (typeof value === 'object' && value !== null) {
    for (const [name, field] of Object.entries(value)) yield* pathsOf(field, [...path, name])
  }
}

test('every field of a JSON text is found where it stands', (t) => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 1, 3), (json, space) => {
      const value: unknown = JSON.parse(json)
      const text = `\n ${JSON.stringify(value, null, space)}`
      const places = new JsonPlaces(text)
      for (const [path, found] of pathsOf(value)) {
        const own = JSON.stringify(found, null, space).slice(0, 1)
        t.is(text.charAt(places.offsetOf(path)), own, `${text} ${pathText(path)}`)
      }
    }),
    { numRuns: 300 },
  )
})

test('a mistake is found exactly where JSON.parse refuses', (t) => {
  const piece = fc.constantFrom(
    ...'{ } [ ] , : " a 1 - . e \\ \n \t'.split(' '),
    ' ',
    'null',
    '"a"',
    '\u0001',
    '\u2028',
  )
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.nat(3), piece, (json, at, drop, put) => {
      const offset = at % (json.length + 1)
      const text = json.slice(0, offset) + put + json.slice(offset + drop)
      t.is(jsonMistake(text) === undefined, isJson(text), JSON.stringify(text))
    }),
    { numRuns: 5000 },
  )
})

test('a key that occurs twice is found, however it is spelled', (t) => {
  t.deepEqual(findFlaw('{"a": {"a": "a"}, "b": ["a", "a"], "\\u0061": 1}'), {
    kind: 'duplicate',
    offset: 35,
    key: 'a',
  })
  t.is(findFlaw('{"a": {"b": 1}, "c": {"b": 1}, "b": "b: \\"b\\":"}'), undefined)
})

test('a path survives being written and read', (t) => {
  const step = fc.oneof(
    fc.nat(99),
    fc.string({ minLength: 1 }),
    fc.constantFrom('spec', 'kubernetes.io/name', 'a]["b'),
  )
  fc.assert(
    fc.property(fc.array(step), (path) => {
      t.deepEqual(parsePath(pathText(path)), path)
    }),
  )
})
