// The shape of the repository, held by a test: who may import whom, which files may reach the environment or a
// package, how large a file may be, and how things are not named. The reasons are in ARCHITECTURE.md.

import test from 'ava'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const AGENT = join(ROOT, 'agent')

interface Source {
  /** Relative to agent/. */
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

interface Import {
  /** Relative to agent/, or a package's or node module's name. */
  readonly target: string
  readonly kind: 'file' | 'package' | 'node'
  /** Types alone: nothing is left of it at run time. */
  readonly typeOnly: boolean
}

interface Rule {
  /** A folder, or one file; the longest that fits a file holds. */
  readonly from: string
  /** Folders and files whose values may be imported; the folder itself always may. */
  readonly may: readonly string[]
  /** Those of which types alone may be. */
  readonly types?: readonly string[]
  readonly packages?: readonly string[]
  /** True: node modules may be imported. */
  readonly node: boolean
}

/** The table of ARCHITECTURE.md. */
const RULES: readonly Rule[] = [
  { from: 'model', may: [], node: false },
  { from: 'plan', may: ['model'], node: false },
  { from: 'proxy/decision', may: ['model'], node: false },
  { from: 'proxy/http', may: ['model'], node: false },
  { from: 'proxy', may: ['model', 'kernel'], node: true },
  ...['app.ts', 'app-without-addon.ts', 'process.ts'].map((name) => ({
    from: `proxy/${name}`,
    may: ['model', 'kernel', 'config', 'observe', 'proxy', 'datapath/steer'],
    node: true,
  })),
  { from: 'config', may: ['model'], types: ['plan'], packages: ['yaml'], node: true },
  { from: 'cluster', may: ['model'], types: ['plan'], packages: ['yaml'], node: true },
  {
    from: 'sync',
    // The view is the contract that agent and proxy share.
    may: ['model', 'plan', 'datapath/datapath.ts', 'proxy/decision/view.ts', 'proxy/decision/key.ts'],
    types: ['proxy/decision', 'datapath/steer'],
    node: true,
  },
  { from: 'datapath', may: ['model', 'kernel'], types: ['plan'], node: true },
  { from: 'datapath/datapath.ts', may: ['model'], types: ['plan'], node: false },
  { from: 'datapath/steer', may: ['model', 'kernel', 'datapath/datapath.ts'], types: ['plan'], node: true },
  ...['iptables', 'ipvs', 'nftables', 'ebpf'].map((name) => ({
    from: `datapath/${name}`,
    may: ['model', 'kernel', 'datapath/datapath.ts', 'datapath/steer'],
    types: ['plan'],
    node: true,
  })),
  { from: 'kernel', may: ['model'], node: true },
  { from: 'observe', may: ['model'], packages: ['pino', 'pino-pretty'], node: true },
  {
    from: 'cli',
    may: ['model', 'config', 'plan', 'cluster', 'observe', 'datapath', 'kernel', 'sync/plan-json.ts'],
    types: ['proxy', 'sync'],
    packages: ['commander', 'yaml'],
    node: true,
  },
  {
    from: 'cli/real-processes.ts',
    may: ['model', 'config', 'kernel', 'observe', 'app.ts', 'proxy/app.ts', 'supervisor.ts'],
    node: true,
  },
  { from: 'main.ts', may: ['cli'], node: true },
  { from: 'supervisor.ts', may: ['model', 'config', 'kernel', 'observe'], node: true },
  {
    from: 'app.ts',
    may: ['model', 'config', 'cluster', 'plan', 'sync', 'datapath', 'kernel', 'observe', 'proxy/decision'],
    node: true,
  },
]

const SOURCES = listFiles(AGENT)
  .filter((file) => file.endsWith('.ts'))
  .map(readSource)

test('every file belongs to a folder of the layout and has a rule', (t) => {
  t.true(SOURCES.length > 10)
  t.deepEqual(
    SOURCES.filter((source) => ruleOf(source.path) === undefined).map((source) => source.path),
    [],
  )
})

test('imports go only where the table of ARCHITECTURE.md lets them', (t) => {
  t.deepEqual(SOURCES.flatMap(forbiddenImports), [])
})

test('the checker sees what it is there for', (t) => {
  const source = (path: string, text: string): Source => ({ path, text, imports: importsOf(path, text) })
  const violations = (path: string, text: string): number => forbiddenImports(source(path, text)).length
  t.is(violations('plan/x.ts', "import { readFileSync } from 'node:fs'"), 1)
  t.is(violations('plan/x.ts', "import type { Log } from '../model/log.ts'"), 0)
  t.is(violations('datapath/iptables/x.ts', "import { y } from '../nftables/y.ts'"), 1)
  t.is(violations('datapath/iptables/x.ts', "import type { Plan } from '../../plan/plan.ts'"), 0)
  t.is(violations('datapath/iptables/x.ts', "import { explain } from '../../plan/explain.ts'"), 1)
  t.is(violations('model/x.ts', "export * from 'yaml'"), 1)
  t.is(violations('proxy/decision/x.ts', "import {\n  a,\n  b,\n} from '../listener.ts'"), 1)
  t.is(violations('sync/x.ts', "const x = await import('../cluster/y.ts')"), 1)
})

test('one file loads the addon', (t) => {
  const loaders = SOURCES.filter((source) => /createRequire\(|process\.dlopen|\.node['"`]/.test(source.text))
  t.deepEqual(
    loaders.map((source) => source.path).filter((path) => path !== 'kernel/native.ts'),
    [],
  )
})

test('the environment is read in config alone', (t) => {
  const readers = SOURCES.filter((source) => /process\.env\b|\benv\b.*from 'node:process'/.test(source.text))
  t.deepEqual(
    readers.map((source) => source.path).filter((path) => !path.startsWith('config/')),
    [],
  )
})

test('system programs are started by two files of the kernel folder, children of our own by the supervisor', (t) => {
  const starters = SOURCES.filter((source) => source.imports.some((i) => i.target === 'node:child_process'))
  t.deepEqual(
    starters
      .map((source) => source.path)
      .filter((path) => !['kernel/command.ts', 'kernel/lasting-program.ts', 'supervisor.ts'].includes(path)),
    [],
  )
})

test('no file is longer than 400 lines, and half of them are shorter than 120', (t) => {
  const sizes = SOURCES.map((source) => ({ path: source.path, lines: source.text.split('\n').length - 1 }))
  t.deepEqual(
    sizes.filter(({ lines }) => lines > 400),
    [],
  )
  const sorted = sizes.map(({ lines }) => lines).sort((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  t.true(median < 120, `the median file has ${median} lines`)
})

test('every file opens with what it owns', (t) => {
  const silent = SOURCES.filter((source) => !/^(#!.*\n)?(\/\/|\/\*)/.test(source.text))
  t.deepEqual(
    silent.map((source) => source.path),
    [],
  )
})

test('no Manager, Helper, Util or Handler', (t) => {
  const vague = /manager|helper|util|handler/i
  const declared =
    /^export (?:async )?(?:class|function|interface|type|const) (\w*(?:Manager|Helper|Util|Handler)\w*)/gm
  t.deepEqual(
    [
      ...SOURCES.filter((source) => vague.test(source.path)).map((source) => source.path),
      ...SOURCES.flatMap((source) =>
        [...source.text.matchAll(declared)].map((match) => `${source.path}: ${match[1] ?? ''}`),
      ),
    ],
    [],
  )
})

test('no barrels', (t) => {
  const barrels = SOURCES.filter((source) => {
    const code = source.text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('//'))
    return code.length > 0 && code.every((line) => /^export .* from /.test(line))
  })
  t.deepEqual(
    [
      ...barrels.map((source) => source.path),
      ...SOURCES.map((s) => s.path).filter((path) => /(^|\/)index\.ts$/.test(path)),
    ],
    [],
  )
})

test('nothing is left for later in the code', (t) => {
  const marked = SOURCES.filter((source) => /\b(TODO|FIXME|XXX|HACK)\b/.test(source.text))
  t.deepEqual(
    marked.map((source) => source.path),
    [],
  )
})

function forbiddenImports(source: Source): readonly string[] {
  const rule = ruleOf(source.path)
  if (rule === undefined) return []
  return source.imports
    .filter((imported) => !allowed(rule, source, imported))
    .map((imported) => `${source.path} imports ${imported.typeOnly ? 'types of ' : ''}${imported.target}`)
}

function allowed(rule: Rule, source: Source, imported: Import): boolean {
  if (imported.kind === 'node') return rule.node
  if (imported.kind === 'package') return (rule.packages ?? []).includes(imported.target)
  const target = imported.target
  // Within the folder that the rule is for: siblings, unless they have a stricter rule of their own to be kept out of.
  const home = rule.from.endsWith('.ts') ? dirname(rule.from) : rule.from
  if (home !== '.' && within(home, target) && (rule.from !== 'datapath' || dirname(target) === 'datapath'))
    return true
  if (home === '.' && dirname(source.path) === '.' && dirname(target) === '.' && rule.may.includes(target))
    return true
  return (
    rule.may.some((place) => within(place, target)) ||
    (imported.typeOnly && (rule.types ?? []).some((place) => within(place, target)))
  )
}

function ruleOf(path: string): Rule | undefined {
  return RULES.filter((rule) => within(rule.from, path)).sort((a, b) => b.from.length - a.from.length)[0]
}

function within(place: string, path: string): boolean {
  return place === path || path.startsWith(`${place}/`)
}

function readSource(file: string): Source {
  const path = relative(AGENT, file)
  const text = readFileSync(file, 'utf8')
  return { path, text, imports: importsOf(path, text) }
}

function importsOf(path: string, text: string): readonly Import[] {
  const statement = /^(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?from\s+)?'([^']+)'/gm
  const dynamic = /\bimport\(\s*'([^']+)'/g
  const found = [...text.matchAll(statement)].map((match) => ({
    specifier: match[2] ?? '',
    typeOnly: match[1] !== undefined,
  }))
  const lazy = [...text.matchAll(dynamic)].map((match) => ({ specifier: match[1] ?? '', typeOnly: false }))
  return [...found, ...lazy].map(({ specifier, typeOnly }) => resolveImport(path, specifier, typeOnly))
}

function resolveImport(path: string, specifier: string, typeOnly: boolean): Import {
  if (specifier.startsWith('node:')) return { target: specifier, kind: 'node', typeOnly }
  if (!specifier.startsWith('.')) return { target: specifier, kind: 'package', typeOnly }
  return { target: normalize(join(dirname(path), specifier)), kind: 'file', typeOnly }
}

function listFiles(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
