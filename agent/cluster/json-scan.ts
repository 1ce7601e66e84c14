// A walk over JSON text that JSON.parse has already accepted, for what JSON.parse does not tell: keys that occur twice,
// nesting too deep to be honest, and where a field stands. Being valid already, the text needs no checking here.

import type { Step } from './decode/place.ts'

export interface JsonFlaw {
  readonly kind: 'duplicate' | 'depth'
  readonly offset: number
  /** The key, for a duplicate. */
  readonly key: string
}

/** Levels of nesting; Kubernetes' own objects stay under twenty. */
export const MOST_LEVELS = 100

/** The first flaw, or undefined. */
export function findFlaw(text: string): JsonFlaw | undefined {
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfText(text, at)
      const keys = open.at(-1)
      if (keys !== undefined && isKey(text, end)) {
        const key = JSON.parse(text.slice(at, end)) as string
        if (keys.has(key)) return { kind: 'duplicate', offset: at, key }
        keys.add(key)
      }
      at = end - 1
    } else if (code === OPEN_MAP || code === OPEN_LIST) {
      if (open.length === MOST_LEVELS) return { kind: 'depth', offset: at, key: '' }
      open.push(code === OPEN_MAP ? new Set() : undefined)
    } else if (code === CLOSE_MAP || code === CLOSE_LIST) open.pop()
  }
  return undefined
}

/** Where the fields of a text stand. */
export class JsonPlaces {
  readonly #text: string
  /** Offsets of the items of the lists that were walked, by the list's own offset: a List may have 20,000. */
  readonly #items = new Map<number, number[]>()

  constructor(text: string) {
    this.#text = text
  }

  /** Offset of the value at the path, or of the deepest part of the path that exists. */
  offsetOf(path: readonly Step[]): number {
    let at = skipSpace(this.#text, 0)
    for (const step of path) {
      const next = typeof step === 'number' ? this.#itemsOf(at)[step] : fieldAt(this.#text, at, step)
      if (next === undefined) return at
      at = next
    }
    return at
  }

  #itemsOf(list: number): number[] {
    const known = this.#items.get(list)
    if (known !== undefined) return known
    const items = itemOffsets(this.#text, list)
    this.#items.set(list, items)
    return items
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_MAP = 0x7b
const CLOSE_MAP = 0x7d
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const COMMA = 0x2c
const COLON = 0x3a

function fieldAt(text: string, map: number, name: string): number | undefined {
  if (text.charCodeAt(map) !== OPEN_MAP) return undefined
  for (let at = skipSpace(text, map + 1); text.charCodeAt(at) === QUOTE;) {
    const end = endOfText(text, at)
    const value = skipSpace(text, skipSpace(text, end) + 1)
    if (JSON.parse(text.slice(at, end)) === name) return value
    at = skipSpace(text, afterComma(text, endOfValue(text, value)))
  }
  return undefined
}

function itemOffsets(text: string, list: number): number[] {
  const offsets: number[] = []
  if (text.charCodeAt(list) !== OPEN_LIST) return offsets
  let at = skipSpace(text, list + 1)
  while (text.charCodeAt(at) !== CLOSE_LIST && at < text.length) {
    offsets.push(at)
    at = skipSpace(text, afterComma(text, endOfValue(text, at)))
  }
  return offsets
}

function endOfValue(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = endOfText(text, at) - 1
      if (depth === 0) return at + 1
    } else if (code === OPEN_MAP || code === OPEN_LIST) depth++
    else if (code === CLOSE_MAP || code === CLOSE_LIST) {
      if (depth === 0) return at
      depth--
      if (depth === 0) return at + 1
    } else if (code === COMMA && depth === 0) return at
  }
  return text.length
}

/** The offset after the closing quote. */
function endOfText(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at + 1
}

function isKey(text: string, end: number): boolean {
  return text.charCodeAt(skipSpace(text, end)) === COLON
}

function afterComma(text: string, offset: number): number {
  const at = skipSpace(text, offset)
  return text.charCodeAt(at) === COMMA ? at + 1 : at
}

function skipSpace(text: string, offset: number): number {
  let at = offset
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++
  return at
}
