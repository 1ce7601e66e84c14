// Objects that the documents show are good. Configurations are no objects of the cluster; they have tests of their own.

import test from 'ava'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeDocument } from '#agent/cluster/decode/document.ts'
import { parseText } from '#agent/cluster/yaml.ts'
import { splitDocuments } from '#agent/cluster/documents.ts'

const ROOT = join(import.meta.dirname, '..')

const EXAMPLES = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)].flatMap(
  (path) =>
    path.endsWith('.md')
      ? [...readFileSync(join(ROOT, path), 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)]
          .map(([, text = '']) => text)
          .filter((text) => /^kind: /m.test(text) && !/^kind: \w+Configuration$/m.test(text))
          .flatMap((text) => [...splitDocuments(text)].map((document) => ({ path, text: document.text })))
      : [],
)

test('there are examples', (t) => {
  t.true(EXAMPLES.length >= 4)
})

for (const [i, { path, text }] of EXAMPLES.entries())
  test(`example ${i} of ${path} is a good object`, (t) => {
    const parsed = parseText(text)
    if (parsed.kind === 'flaw') return t.fail(parsed.message)
    const decoded = decodeDocument(parsed.value)
    t.is(decoded.length, 1)
    for (const { problems } of decoded) t.deepEqual(problems, [])
  })
