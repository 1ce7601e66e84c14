// Documents that follow from code are fresh, and documents that people write point at things that exist.

import test from 'ava'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { COMMANDS } from '#agent/cli/commands.ts'
import { METRICS } from '#agent/model/metrics.ts'
import { pages } from '../scripts/dev/docs-pages.ts'

const ROOT = join(import.meta.dirname, '..')

for (const [path, text] of pages())
  test(`${path} is fresh (npm run docs)`, (t) => {
    t.is(readFileSync(join(ROOT, path), 'utf8'), text)
  })

const WRITTEN = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

for (const path of WRITTEN) {
  const text = readFileSync(join(ROOT, path), 'utf8')

  test(`links of ${path} lead to files of the repository`, (t) => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '')
    t.deepEqual(
      links.filter((link) => !existsSync(join(ROOT, dirname(path), link))),
      [],
    )
  })

  test(`commands that ${path} tells to type exist, with their options`, (t) => {
    const typed = [...text.matchAll(/\bshunt ([a-z]+)([^`\n|]*)/g)]
      .filter((match) => isTyped(text, match.index))
      .map((match) => ({ name: match[1] ?? '', rest: match[2] ?? '' }))
    const unknown = typed.flatMap(({ name, rest }) => {
      const spec = COMMANDS.find((command) => command.spec.name === name)?.spec
      if (spec === undefined) return name === 'help' ? [] : [`shunt ${name}`]
      const flags = [...spec.options.map((option) => option.flags), '-o, --output', '-h, --help'].join(' ')
      const used = [...rest.matchAll(/(?<=\s)--?[a-z][a-z-]*/g)].map((match) => match[0])
      return used
        .filter((flag) => !flags.split(/[\s,=]+/).includes(flag))
        .map((flag) => `shunt ${name} ${flag}`)
    })
    t.deepEqual(unknown, [])
  })
}

test('metrics that the written documents name exist', (t) => {
  const names = WRITTEN.flatMap((path) =>
    [...readFileSync(join(ROOT, path), 'utf8').matchAll(/`((?:shunt|kubeproxy)_[a-z_]+)`/g)].map(
      (m) => m[1] ?? '',
    ),
  )
  t.deepEqual(
    names.filter((name) => !(name in METRICS)),
    [],
  )
})

/** In `code` or a code block, not a word of a sentence. */
function isTyped(text: string, index: number): boolean {
  const before = text.slice(0, index)
  const fences = before.match(/^```/gm)?.length ?? 0
  if (fences % 2 === 1) return true
  const line = before.slice(before.lastIndexOf('\n') + 1)
  return (line.match(/`/g)?.length ?? 0) % 2 === 1
}
