// One document of a manifest file: its text into a plain value, with the line of every field for those who ask. JSON goes
// through JSON.parse; the YAML syntax tree is built for one document at a time and never kept.

import { isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit, type Document } from 'yaml'
import { messageOf } from '../model/errors.ts'
import type { Step } from './decode/place.ts'
import { findFlaw, MOST_LEVELS, offsetOf } from './json-scan.ts'
import { readPlainYaml } from './plain-yaml.ts'

export type ParsedText =
  | {
      readonly kind: 'value'
      readonly value: unknown
      /** 1-based line, in this text, of the field or of the nearest part of its path that exists. */
      readonly lineOf: (path: readonly Step[]) => number
    }
  | { readonly kind: 'flaw'; readonly message: string; readonly line: number }

/** Never throws. Text that begins as JSON is tried as JSON first, for speed. */
export function parseText(text: string): ParsedText {
  return /^\s*[{[]/.test(text) ? (parseJson(text) ?? parseYaml(text)) : parseYaml(text)
}

/** As {@link parseText} for a file that promises to be JSON: the message speaks of JSON. */
export function parseJsonText(text: string): ParsedText {
  const parsed = parseJson(text)
  if (parsed !== undefined) return parsed
  try {
    JSON.parse(text)
  } catch (error) {
    const message = messageOf(error)
    const position = /at position (\d+)/.exec(message)
    const said = message.replace(/ in JSON at position .*| \(line \d+ column \d+\)/gs, '')
    const offset = position === null ? text.trimEnd().length : Number(position[1])
    return flaw(`not valid JSON: ${oneLine(said)}`, lineAt(text, offset))
  }
  return { kind: 'value', value: undefined, lineOf: () => 1 }
}

function parseJson(text: string): ParsedText | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const found = findFlaw(text)
  if (found === undefined)
    return { kind: 'value', value, lineOf: (path) => lineAt(text, offsetOf(text, path)) }
  const line = lineAt(text, found.offset)
  return found.kind === 'depth' ? flaw(TOO_DEEP, line) : flaw(duplicate(JSON.stringify(found.key)), line)
}

function parseYaml(text: string): ParsedText {
  const plain = readPlainYaml(text)
  if (plain !== undefined) {
    return {
      kind: 'value',
      value: plain.value,
      lineOf: (path) => lineAt(text, yamlOffset(composeYaml(text), path)),
    }
  }
  try {
    const document = composeYaml(text)
    const [error] = document.errors
    if (error?.message.includes('closing') === true) return flaw(NO_END, lineAt(text, lastQuote(document)))
    if (error !== undefined) return flaw(yamlMessage(text, error), lineAt(text, error.pos[0]))
    const alias = text.includes('*') ? badAlias(document) : undefined
    if (alias !== undefined) return flaw(alias.message, lineAt(text, alias.offset))
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES })
    return { kind: 'value', value, lineOf: (path) => lineAt(text, yamlOffset(composeYaml(text), path)) }
  } catch (error) {
    // The parser recurses, and counts what aliases expand to while it resolves them.
    if (error instanceof RangeError) return flaw(TOO_DEEP, 1)
    const bomb = messageOf(error).includes('alias count')
    return bomb
      ? flaw(TOO_MANY_ALIASES, lineAt(text, text.indexOf('*')))
      : flaw(`not valid YAML: ${oneLine(messageOf(error))}`, 1)
  }
}

function composeYaml(text: string): Document.Parsed {
  // Merge keys (<<) are YAML 1.1, and Kubernetes' own tools read them.
  return parseDocument(text, { merge: true, prettyErrors: false, stringKeys: true, logLevel: 'error' })
}

const MOST_ALIASES = 1000
const TOO_DEEP = `nested deeper than ${MOST_LEVELS} levels, which is refused`
const NO_END = 'not valid YAML: the quoted text that begins here has no end'
const TOO_MANY_ALIASES = `aliases stand for more than ${MOST_ALIASES} values, which is refused; write the values out`

/** An unclosed quote swallows the rest of the document; what helps is where it began. */
function lastQuote(document: Document.Parsed): number {
  let offset = 0
  visit(document, {
    Scalar(_key, scalar) {
      if (scalar.type?.startsWith('QUOTE') === true) offset = startOf(scalar) ?? offset
    },
  })
  return offset
}

/** The first alias that contains itself or has no anchor before it. */
function badAlias(document: Document.Parsed): { message: string; offset: number } | undefined {
  let found: { message: string; offset: number } | undefined
  visit(document, {
    Alias(_key, alias, path) {
      const anchor = alias.resolve(document)
      const offset = alias.range?.[0] ?? 0
      if (anchor === undefined) {
        found = { message: `the alias *${alias.source} has no anchor &${alias.source} before it`, offset }
      } else if (path.includes(anchor)) {
        found = {
          message: `the alias *${alias.source} stands inside its own anchor: a cycle, which is refused`,
          offset,
        }
      }
      return found === undefined ? undefined : visit.BREAK
    },
  })
  return found
}

function yamlOffset(document: Document.Parsed, path: readonly Step[]): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? key.value : key) === step)
      if (pair === undefined) return offset
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof step === 'number' && step < node.items.length) {
      node = node.items[step]
      offset = startOf(node) ?? offset
    } else return offset
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined
}

function yamlMessage(text: string, error: { code: string; message: string; pos: [number, number] }): string {
  if (error.code === 'RESOURCE_EXHAUSTION') return TOO_DEEP
  if (error.code !== 'DUPLICATE_KEY') return `not valid YAML: ${oneLine(error.message)}`
  const key = /^[^\s:]+/.exec(text.slice(error.pos[0], error.pos[0] + 80))?.[0] ?? ''
  return duplicate(key)
}

function duplicate(key: string): string {
  return `the key ${key} occurs twice in one map, expected once`
}

function flaw(message: string, line: number): ParsedText {
  return { kind: 'flaw', message, line }
}

function oneLine(message: string): string {
  return message.replace(/\s+/g, ' ').trim().slice(0, 200)
}

/** 1-based. */
function lineAt(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}
