// Laws: whatever a file holds, reading it throws nothing, tells a line for every problem, and keeps its neighbours; and what
// the store holds does not depend on how it came there.

import test from 'ava'
import * as fc from 'fast-check'
import { decodeDocument } from '../../agent/cluster/decode/document.ts'
import { equal } from '../../agent/cluster/equal.ts'
import { Folder } from '../../agent/cluster/folder.ts'
import type { ClusterObject } from '../../agent/cluster/object.ts'
import { Store } from '../../agent/cluster/store.ts'
import { parseText } from '../../agent/cluster/yaml.ts'
import * as bases from '../fixtures/malformed/bases.ts'

const BASES = Object.values(bases)

function valueOf(text: string): unknown {
  const parsed = parseText(text)
  return parsed.kind === 'value' ? parsed.value : undefined
}

/** The value with one part, chosen by the numbers, replaced. */
function replaced(value: unknown, choices: readonly number[], by: unknown): unknown {
  const [choice, ...rest] = choices
  if (choice === undefined || typeof value !== 'object' || value === null) return by
  const entries = Object.entries(value)
  const [name, part] = entries[choice % Math.max(entries.length, 1)] ?? []
  if (name === undefined) return by
  const next = replaced(part, rest, by)
  if (Array.isArray(value)) return value.map((item: unknown, i) => (String(i) === name ? next : item))
  return { ...value, [name]: next }
}

test('an object with any of its parts replaced by anything is decoded or refused, never thrown over', (t) => {
  const odd = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(undefined, null, Number.NaN, Infinity, -0, [], {}, [null]),
  )
  fc.assert(
    fc.property(fc.constantFrom(...BASES.map(valueOf)), fc.array(fc.nat(5)), odd, (base, choices, by) => {
      for (const { good, object, problems } of decodeDocument(replaced(base, choices, by))) {
        t.false(good && problems.some(({ severity }) => severity === 'error'))
        t.false(!good && object !== undefined)
        t.true(good || problems.length > 0)
        for (const { message } of problems) t.true(message.length > 10 && message.length < 300)
      }
    }),
    { numRuns: 3000 },
  )
})

test('a file with random edits never throws, and the next document of it loads', (t) => {
  const piece = fc.constantFrom(
    ...'- : # \' " [ ] { } , & * ! | > ? % \\ ... << \t \u0000 é \u{1f600}'.split(' '),
    '\n',
    ' ',
  )
  const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(6), put: piece })
  const after = bases.SERVICE.replace('name: web', 'name: after')
  fc.assert(
    fc.property(fc.constantFrom(...BASES), fc.array(edit, { minLength: 1, maxLength: 5 }), (base, edits) => {
      let text = base
      for (const { at, drop, put } of edits) {
        const offset = Math.floor(at * text.length)
        text = text.slice(0, offset) + put + text.slice(offset + drop)
      }
      const folder = new Folder()
      const whole = `${text}\n---\n${after}`
      folder.read('a.yaml', { kind: 'text', text: whole })
      folder.settle()
      t.true(folder.objects().has('Service default/after'), whole)
      const lines = whole.split('\n').length
      for (const { line } of folder.problems())
        t.true(line !== undefined && line >= 1 && line <= lines, whole)
    }),
    { numRuns: 2000 },
  )
})

const object = fc
  .tuple(fc.constantFrom(...BASES), fc.constantFrom('web', 'api'), fc.constantFrom('80', '81'), fc.nat(2))
  .map(([base, name, port, number]): ClusterObject | undefined => {
    const text = base
      .replace(/^ {2}name: (web|node)/m, `  name: ${name}${number}`)
      .replace('service-name: web', `service-name: ${name}0`)
      .replace('      name: web', `      name: ${name}0`)
      .replace(/port: 80$/m, `port: ${port}`)
    return decodeDocument(valueOf(text))[0]?.object
  })
  .filter((made) => made !== undefined)

const change = fc.record({ object, gone: fc.boolean() })

function newStore(): Store {
  return new Store({ nodeName: 'web0-a', awaits: [] })
}

test('the store holds what was put last, whatever came before and in what batches', (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 8 }), (batches) => {
      const store = newStore()
      const last = new Map<string, ClusterObject>()
      let notices = 0
      store.subscribe(() => notices++)
      for (const batch of batches) {
        const before = store.snapshot()
        store.batch(() => {
          for (const { object, gone } of batch) {
            if (gone) store.delete(object.kind, object.id)
            else store.put(object)
            if (gone) last.delete(`${object.kind} ${object.id}`)
            else last.set(`${object.kind} ${object.id}`, object)
          }
        })
        const after = store.snapshot()
        t.is(after === before, after.generation === before.generation)
        t.is(after !== before, !sameContent(after, before))
      }
      t.is(store.snapshot().generation, notices)
      const fresh = newStore()
      fresh.replaceAll(new Map([...last].reverse()))
      t.true(sameContent(fresh.snapshot(), store.snapshot()))
    }),
    { numRuns: 300 },
  )
})

function sameContent(a: object, b: object): boolean {
  return equal(plain(a), plain(b))
}

/** Maps as lists in the order of their keys, without the generation. */
function plain(snapshot: object): unknown {
  return Object.entries(snapshot)
    .filter(([name]) => name !== 'generation')
    .map(([, part]: [string, unknown]) => {
      return part instanceof Map ? [...part].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)) : part
    })
}
