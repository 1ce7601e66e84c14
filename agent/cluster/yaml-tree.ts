// The full YAML parser's syntax tree: what is wrong with it, and where its fields stand. Built for one document at a time
// and never kept.

import { isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit, type Document } from 'yaml'
import type { Step } from './decode/place.ts'

export interface TreeFlaw {
  readonly message: string
  readonly offset: number
}

/** Values that aliases may stand for in one document, counted as the parser does: uses times what each expands to. */
export const MOST_ALIASES = 1000

/** May throw RangeError for a text nested too deep. */
export function composeTree(text: string): Document.Parsed {
  // Merge keys (<<) are YAML 1.1, and Kubernetes' own tools read them.
  return parseDocument(text, { merge: true, prettyErrors: false, stringKeys: true, logLevel: 'error' })
}

/** The first flaw; undefined for a good tree. */
export function treeFlaw(tree: Document.Parsed, text: string): TreeFlaw | undefined {
  const [error] = tree.errors
  if (error === undefined) return text.includes('*') ? badAlias(tree) : undefined
  const [offset] = error.pos
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^[^\s:]+/.exec(text.slice(offset, offset + 80))?.[0] ?? ''
    return { message: `the key ${key} occurs twice in one map, expected once`, offset }
  }
  if (error.code === 'MISSING_CHAR' && error.message.includes('closing')) {
    // An unclosed quote swallows the rest of the document; what helps is where it began.
    return { message: 'not valid YAML: the quoted text that begins here has no end', offset: lastQuote(tree) }
  }
  // The parser's own recursion, on a text that it caught itself.
  if (error.code === 'RESOURCE_EXHAUSTION') throw new RangeError(error.message)
  return { message: `not valid YAML: ${error.message.replace(/\s+/g, ' ').trim().slice(0, 200)}`, offset }
}

/** Offset of the field, or of the deepest part of its path that exists. */
export function treeOffset(tree: Document.Parsed, path: readonly Step[]): number {
  let node: unknown = tree.contents
  let offset = startOf(node) ?? 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(tree)
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

function lastQuote(tree: Document.Parsed): number {
  let offset = 0
  visit(tree, {
    Scalar(_key, scalar) {
      if (scalar.type?.startsWith('QUOTE') === true) offset = startOf(scalar) ?? offset
    },
  })
  return offset
}

/** The first alias that contains itself or has no anchor before it. */
function badAlias(tree: Document.Parsed): TreeFlaw | undefined {
  let found: TreeFlaw | undefined
  const anchors = new Map<string, unknown>()
  visit(tree, {
    Node(_key, node, path) {
      if (!isAlias(node)) {
        if ('anchor' in node && typeof node.anchor === 'string') anchors.set(node.anchor, node)
        return undefined
      }
      const anchor = anchors.get(node.source)
      const offset = startOf(node) ?? 0
      if (anchor === undefined) {
        found = { message: `the alias *${node.source} has no anchor &${node.source} before it`, offset }
      } else if (path.some((ancestor) => ancestor === anchor)) {
        const message = `the alias *${node.source} stands inside its own anchor: a cycle, which is refused`
        found = { message, offset }
      }
      return found === undefined ? undefined : visit.BREAK
    },
  })
  return found
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined
}
