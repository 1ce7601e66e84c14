// `npm run docs` writes the generated pages of docs/; with --check it writes nothing and fails if one is stale.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pages } from './docs-pages.ts'

const root = join(import.meta.dirname, '..', '..')

function main(check: boolean): number {
  const stale = [...pages()].filter(([path, text]) => current(path) !== text)
  for (const [path, text] of stale) {
    if (!check) writeFileSync(join(root, path), text)
    console.log(`${check ? 'stale' : 'written'}: ${path}`)
  }
  if (check && stale.length > 0)
    console.error('error: generated pages are stale\nhint: run `npm run docs` and commit them')
  return check && stale.length > 0 ? 1 : 0
}

function current(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return undefined
  }
}

process.exitCode = main(process.argv.includes('--check'))
