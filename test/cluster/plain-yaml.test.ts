// The fast reader may be unsure, but must never read other than the full parser.

import test from 'ava'
import * as fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { parseDocument, stringify } from 'yaml'
import type { Step } from '../../agent/cluster/decode/place.ts'
import { plainYamlLines, readPlainYaml } from '../../agent/cluster/plain-yaml.ts'
import { LineIndex } from '../../agent/cluster/line-index.ts'
import { composeTree, treeOffset } from '../../agent/cluster/yaml-tree.ts'
import * as bases from '../fixtures/malformed/bases.ts'

/** True if the fast reader is unsure, or reads what the full parser reads. */
function agrees(text: string): boolean {
  const fast = readPlainYaml(text)
  if (fast === undefined) return true
  const document = parseDocument(text, {
    merge: true,
    prettyErrors: false,
    stringKeys: true,
    logLevel: 'error',
  })
  return document.errors.length === 0 && isDeepStrictEqual(document.toJS(), fast.value)
}

const BASES = Object.values(bases)

test('the documents that people write are read by the fast reader', (t) => {
  for (const text of BASES) {
    t.not(readPlainYaml(text), undefined, text)
    t.true(agrees(text))
  }
})

const TRICKY =
  'web a.b/c-d 10.96.0.10 fd00::1 80 0x1f 1e3 1.5 007 true No null ~ a: #x [a {a} *a &a !a | > it\u0027s %a << ? - 2026-11-22'
const word = fc.constantFrom(...TRICKY.split(' '), '', '- a', 'a: b', 'a #b', 'say "x"')

const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 6 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(word, fc.constantFrom('spec', 'ports', 'name', 'port')), tie('value'), {
      maxKeys: 4,
    }),
  ),
})).value

test('what the full parser’s own writer writes is read alike', (t) => {
  fc.assert(
    fc.property(value, fc.boolean(), fc.constantFrom(2, 4), (value, indentSeq, indent) => {
      return agrees(stringify(value, { indentSeq, indent }))
    }),
    { numRuns: 3000 },
  )
  t.pass()
})

const SIGNS = '- : # \u0027 " [ ] { } , & * ! | > ? % \\ --- ... << 0 1 a null true ~ 0x . e = é'
const piece = fc.constantFrom(...SIGNS.split(' '), '\n', ' ', '  ', '- ', ': ', ' #', '\t', '\n- ', '\n  ')

test('good documents with a few random edits are read alike, or left to the full parser', (t) => {
  const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(6), put: piece })
  let read = 0
  fc.assert(
    fc.property(fc.constantFrom(...BASES), fc.array(edit, { minLength: 1, maxLength: 4 }), (base, edits) => {
      let text = base
      for (const { at, drop, put } of edits) {
        const offset = Math.floor(at * text.length)
        text = text.slice(0, offset) + put + text.slice(offset + drop)
      }
      if (readPlainYaml(text) !== undefined) read++
      return agrees(text)
    }),
    { numRuns: 10_000 },
  )
  // Were the reader always unsure, the property would hold of nothing.
  t.true(read > 1000)
})

function* pathsOf(value: unknown, path: readonly Step[] = []): Generator<readonly Step[]> {
  yield path
  if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* pathsOf(item, [...path, i])
  else if (typeof value === 'object' && value !== null) {
    for (const [name, field] of Object.entries(value)) yield* pathsOf(field, [...path, name])
  }
  yield [...path, 'missing']
}

test('the fast reader and the full parser tell the same lines', (t) => {
  let told = 0
  fc.assert(
    fc.property(
      fc.oneof(
        fc.constantFrom(...BASES),
        value.map((value) => stringify({ value })),
      ),
      (text) => {
        const fast = readPlainYaml(`---\n# comment\n\n${text}`)
        if (fast === undefined) return
        told++
        const whole = `---\n# comment\n\n${text}`
        const quick = plainYamlLines(whole)
        const tree = composeTree(whole)
        const lines = new LineIndex(whole)
        for (const path of pathsOf(fast.value)) t.is(quick(path), lines.lineAt(treeOffset(tree, path)), whole)
      },
    ),
    { numRuns: 500 },
  )
  t.true(told > 100)
})
