// The YAML that tools and people write nearly always, read about ten times as fast as by a full parser: block maps and lists,
// plain and simply quoted texts, numbers, flags. Whatever goes beyond that, or looks wrong, is not judged here: the reader
// is unsure, and the full parser decides. test/cluster/plain-yaml.test.ts holds it to the full parser's reading.

import type { Step } from './decode/place.ts'

/** The value, or undefined when unsure. */
export function readPlainYaml(text: string): { readonly value: unknown } | undefined {
  // Tabs, control characters and anything beyond ASCII have rules of their own.
  if (/[^\n\x20-\x7e]/.test(text)) return undefined
  const reader = new PlainReader(text, undefined)
  const value = reader.read()
  return reader.unsure ? undefined : { value }
}

/**
 * Reads once more a text that {@link readPlainYaml} was sure of, and answers on which line (1-based) a field stands, or the
 * deepest part of its path that exists.
 */
export function plainYamlLines(text: string): (path: readonly Step[]) => number {
  const places: Places = new Map()
  const root = new PlainReader(text, places).read()
  const first = text.split('\n').findIndex((line) => /^(?!---)\s*[^\s#]/.test(line)) + 1
  return (path) => {
    let line = first
    let value = root
    for (const step of path) {
      const fields = typeof value === 'object' && value !== null ? places.get(value) : undefined
      const next = fields?.get(step)
      if (next === undefined) return line
      line = next
      value = (value as Readonly<Record<Step, unknown>>)[step]
    }
    return line
  }
}

/** Lines of the fields of each map and the items of each list. */
type Places = Map<object, Map<Step, number>>

interface Line {
  /** 1-based, in the text. */
  readonly number: number
  readonly indent: number
  /** Without indentation and trailing spaces. */
  readonly content: string
}

const MOST_LEVELS = 50
const KEY = /^([A-Za-z][A-Za-z0-9_./-]*):(?: +(.*))?$/
/** What YAML 1.2 reads as something else than a text; as keys they are left to the full parser. */
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
  ['null', null],
  ['Null', null],
  ['NULL', null],
])

class PlainReader {
  unsure = false
  readonly #lines: Line[]
  readonly #places: Places | undefined
  #at = 0

  constructor(text: string, places: Places | undefined) {
    this.#lines = contentLines(text)
    this.#places = places
  }

  read(): unknown {
    const marker = this.#lines[0]
    if (marker?.content === '---' && marker.indent === 0) this.#at = 1
    const first = this.#lines[this.#at]
    if (first?.indent !== 0) return this.#doubt()
    const value = this.#block(0, 0)
    return this.#at === this.#lines.length ? value : this.#doubt()
  }

  /** A map or list whose lines are indented by exactly so much. */
  #block(indent: number, level: number): unknown {
    if (level > MOST_LEVELS) return this.#doubt()
    return isItem(this.#lines[this.#at]) ? this.#list(indent, level) : this.#map(indent, level)
  }

  #list(indent: number, level: number): unknown {
    const list: unknown[] = []
    while (!this.unsure) {
      const line = this.#lines[this.#at]
      if (line === undefined || line.indent < indent || (line.indent === indent && !isItem(line))) break
      if (line.indent > indent) return this.#doubt()
      const content = line.content.slice(1).trimStart()
      this.#note(list, list.length, line)
      if (KEY.test(content)) {
        // The item is a map whose first field stands on the line of the dash.
        const inner = indent + line.content.length - content.length
        this.#lines[this.#at] = { number: line.number, indent: inner, content }
        list.push(this.#map(inner, level + 1))
      } else {
        this.#at++
        list.push(this.#value(content))
      }
    }
    return list
  }

  #map(indent: number, level: number): unknown {
    const map: Record<string, unknown> = {}
    while (!this.unsure) {
      const line = this.#lines[this.#at]
      if (line === undefined || line.indent < indent) break
      const found = line.indent === indent ? KEY.exec(line.content) : null
      const key = found?.[1]
      if (key === undefined || WORDS.has(key) || Object.hasOwn(map, key)) {
        // A list may stand at the indentation of its key, so that a dash ends the map that is its last item.
        if (isItem(line) && line.indent === indent && level > 0) break
        return this.#doubt()
      }
      this.#at++
      this.#note(map, key, line)
      const rest = found?.[2] ?? ''
      map[key] = rest === '' ? this.#nested(indent, level) : this.#value(rest)
    }
    return map
  }

  /** What follows a key that ends its line. */
  #nested(indent: number, level: number): unknown {
    const next = this.#lines[this.#at]
    if (next === undefined || next.indent < indent) return null
    if (next.indent > indent) return this.#block(next.indent, level + 1)
    return isItem(next) ? this.#list(indent, level + 1) : null
  }

  /** One line of text; were it continued, the deeper line would fit no map or list, and leave the reader unsure. */
  #value(text: string): unknown {
    if (/^"[^"\\]*"$/.test(text) || /^'[^']*'$/.test(text)) return text.slice(1, -1)
    if (text === '[]') return []
    if (text === '{}') return {}
    if (/^\[[A-Za-z0-9][\w./-]*(?:, [A-Za-z0-9][\w./-]*)*\]$/.test(text)) {
      return text
        .slice(1, -1)
        .split(', ')
        .map((item) => this.#plain(item))
    }
    return this.#plain(text)
  }

  #plain(text: string): unknown {
    if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Number(text)
    if (WORDS.has(text)) return WORDS.get(text)
    if (!/^[A-Za-z0-9_/]/.test(text) || text.includes(': ') || text.includes(' #') || text.endsWith(':')) {
      return this.#doubt()
    }
    return LIKE_A_NUMBER.test(text) ? this.#doubt() : text
  }

  #note(owner: object, step: Step, line: Line): void {
    if (this.#places === undefined) return
    const fields = this.#places.get(owner) ?? new Map<Step, number>()
    this.#places.set(owner, fields.set(step, line.number))
  }

  #doubt(): undefined {
    this.unsure = true
    return undefined
  }
}

const LIKE_A_NUMBER = /^0[xo][0-9a-fA-F]*$|^[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$/

function contentLines(text: string): Line[] {
  const lines: Line[] = []
  for (const [i, raw] of text.split('\n').entries()) {
    const content = raw.trim()
    if (content === '' || content.startsWith('#')) continue
    lines.push({ number: i + 1, indent: raw.length - raw.trimStart().length, content })
  }
  return lines
}

function isItem(line: Line | undefined): boolean {
  return line !== undefined && line.content.startsWith('- ')
}
