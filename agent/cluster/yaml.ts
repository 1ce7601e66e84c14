// One document of a manifest file: its text into a plain value, with the line of every field for those who ask. JSON goes
// through JSON.parse, which is many times faster: large clusters are best kept as JSON.

import { messageOf } from '../model/errors.ts'
import type { Step } from './decode/place.ts'
import { findFlaw, JsonPlaces, MOST_LEVELS } from './json-scan.ts'
import { jsonMistake } from './json-syntax.ts'
import { LineIndex } from './line-index.ts'
import { composeTree, MOST_ALIASES, treeFlaw, treeOffset } from './yaml-tree.ts'

export type ParsedText =
  | {
      readonly kind: 'value'
      readonly value: unknown
      /** 1-based line, in this text, of the field or of the nearest part of its path that exists. */
      readonly lineOf: (path: readonly Step[]) => number
    }
  | { readonly kind: 'flaw'; readonly message: string; readonly line: number }

/** Never throws. */
export function parseText(text: string): ParsedText {
  const json = /^\s*[{[]/.test(text) ? parseJson(text) : undefined
  if (json !== undefined) return json
  return parseYaml(text)
}

/** As {@link parseText} for a file that promises to be JSON: the message speaks of JSON. */
export function parseJsonText(text: string): ParsedText {
  const parsed = parseJson(text)
  if (parsed !== undefined) return parsed
  const { message, offset } = jsonMistake(text) ?? { message: 'it cannot be parsed', offset: 0 }
  return flaw(text, `not valid JSON: ${message}`, offset)
}

/** Undefined if the text is not JSON. */
function parseJson(text: string): ParsedText | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const found = findFlaw(text)
  if (found?.kind === 'depth') return flaw(text, TOO_DEEP, found.offset)
  if (found?.kind === 'duplicate') {
    return flaw(
      text,
      `the key ${JSON.stringify(found.key)} occurs twice in one map, expected once`,
      found.offset,
    )
  }
  const places = new JsonPlaces(text)
  const lines = new LineIndex(text)
  return { kind: 'value', value, lineOf: (path) => lines.lineAt(places.offsetOf(path)) }
}

function parseYaml(text: string): ParsedText {
  try {
    const tree = composeTree(text)
    const found = treeFlaw(tree, text)
    if (found !== undefined) return flaw(text, found.message, found.offset)
    const value: unknown = tree.toJS({ maxAliasCount: MOST_ALIASES })
    const lines = new LineIndex(text)
    return { kind: 'value', value, lineOf: (path) => lines.lineAt(treeOffset(tree, path)) }
  } catch (error) {
    // The parser recurses, and counts what aliases expand to while it resolves them.
    if (error instanceof RangeError) return flaw(text, TOO_DEEP, 0)
    const bomb = messageOf(error).includes('alias count')
    return bomb
      ? flaw(text, TOO_MANY_ALIASES, text.indexOf('*'))
      : flaw(text, `not valid YAML: ${messageOf(error).slice(0, 200)}`, 0)
  }
}

const TOO_DEEP = `nested deeper than ${MOST_LEVELS} levels, which is refused`
const TOO_MANY_ALIASES = `aliases stand for more than ${MOST_ALIASES} values, which is refused; write the values out`

function flaw(text: string, message: string, offset: number): ParsedText {
  return { kind: 'flaw', message, line: new LineIndex(text).lineAt(offset) }
}
