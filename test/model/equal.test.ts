import test from 'ava'
import { equal } from '#agent/model/equal.ts'

const SAME: readonly (readonly [unknown, unknown])[] = [
  [1, 1],
  [Number.NaN, Number.NaN],
  [undefined, undefined],
  [[], []],
  [{}, {}],
  [
    { a: 1, b: [{ c: undefined }] },
    { b: [{ c: undefined }], a: 1 },
  ],
]

const DIFFERENT: readonly (readonly [unknown, unknown])[] = [
  [1, '1'],
  [null, undefined],
  [null, {}],
  [[], {}],
  [{}, []],
  [[1], [1, 2]],
  [[1, 2], [1]],
  [{ a: 1 }, {}],
  [{}, { a: 1 }],
  [{ a: undefined }, {}],
  [{ a: undefined }, { b: undefined }],
  [{ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }],
  // Maps hide their content: two are never called equal.
  [new Map(), new Map()],
  [new Map(), {}],
]

for (const [a, b] of SAME)
  test(`${JSON.stringify(a)} equals ${JSON.stringify(b)}`, (t) => t.true(equal(a, b)))

for (const [i, [a, b]] of DIFFERENT.entries())
  test(`${i}: ${JSON.stringify(a)} differs from ${JSON.stringify(b)}`, (t) => {
    t.false(equal(a, b))
    t.false(equal(b, a))
  })
