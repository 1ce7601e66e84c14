import test from 'ava'
import { Folder } from '../../agent/cluster/folder.ts'
import * as bases from '../fixtures/malformed/bases.ts'
import { MALFORMED_OTHERS } from '../fixtures/malformed/others.ts'
import { MALFORMED_SERVICES } from '../fixtures/malformed/services.ts'
import { MALFORMED_SYNTAX } from '../fixtures/malformed/syntax.ts'

const MALFORMED = [...MALFORMED_SERVICES, ...MALFORMED_OTHERS, ...MALFORMED_SYNTAX]
const GOOD = Object.values(bases)

const ABOVE = bases.SERVICE.replace('name: web', 'name: above')
const BELOW = bases.SERVICE.replace('name: web', 'name: below')

/** A file with a good document above and below the malformed one. */
function surrounded(text: string): { readonly file: string; readonly offset: number } {
  const head = `${ABOVE}---\n`
  return { file: `${head}${text}\n---\n${BELOW}`, offset: head.split('\n').length - 1 }
}

test('there are at least fifty malformed documents', (t) => {
  t.true(MALFORMED.length >= 50)
})

for (const { title, text, says } of MALFORMED) {
  test(`${title} is reported with line, field and what was expected, and its neighbours load`, (t) => {
    const { file, offset } = surrounded(text)
    const folder = new Folder()
    folder.read('all.yaml', { kind: 'text', text: file })
    folder.settle()
    const problems = folder.problems().map(({ file, line, field, message }) => {
      return `${file}:${(line ?? 0) - offset} ${field === '' ? '' : `${field}: `}${message}`
    })
    t.deepEqual(
      problems,
      says.map((line) => `all.yaml:${line}`),
    )
    t.deepEqual([...folder.objects().keys()], ['Service default/above', 'Service default/below'])
  })

  test(`${title} leaves in force what was good before`, (t) => {
    const folder = new Folder()
    folder.read('all.yaml', { kind: 'text', text: GOOD.join('---\n') })
    folder.settle()
    t.false(folder.problems().some(({ severity }) => severity === 'error'))
    const before = folder.objects()
    t.is(before.size, GOOD.length)
    folder.read('all.yaml', { kind: 'text', text })
    folder.settle()
    const after = folder.objects()
    // The other documents are gone from the file. The one that became bad must not go with them, and where nothing tells
    // which one it is, none may go.
    if (after.size < GOOD.length) {
      const [kind] = [...text.matchAll(/kind"?: "?(\w+)/g)]
        .map(([, word]) => word)
        .filter((word) => word !== 'List')
      t.deepEqual(
        [...after.values()].map((object) => object.kind),
        [kind],
      )
    }
    for (const [key, object] of after) t.true(object === before.get(key))
  })
}

test('a problem names the object that it is about', (t) => {
  const folder = new Folder()
  folder.read('web.yaml', { kind: 'text', text: bases.SERVICE.replace('port: 80\n', 'port: 0\n') })
  folder.settle()
  t.like(folder.problems()[0], {
    code: 'OBJECT_INVALID',
    severity: 'error',
    object: 'Service default/web',
    file: 'web.yaml',
  })
})
