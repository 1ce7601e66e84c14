// `npm test`: every level that this machine can run, one after another, with what was skipped and why.
//
//   node scripts/dev/test.ts             all levels
//   node scripts/dev/test.ts unit        one level by name
//   node scripts/dev/test.ts --no-skips  fails if a level was skipped (CI: this machine is known to support all)

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

interface Level {
  readonly name: string
  readonly what: string
  readonly command: readonly string[]
  /** Why this machine cannot run it; undefined: it can. */
  readonly blocked: () => string | undefined
}

interface Result {
  readonly level: Level
  readonly kind: 'passed' | 'failed' | 'skipped'
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  readonly because?: string
}

const root = join(import.meta.dirname, '..', '..')
const ava = join(root, 'node_modules', '.bin', 'ava')

const LEVELS: readonly Level[] = [
  {
    name: 'unit',
    what: 'unit, property and golden tests',
    command: [process.execPath, ava],
    blocked: () => undefined,
  },
  {
    name: 'native',
    what: 'the addon as plain C++ under ASan and UBSan',
    command: ['/usr/bin/make', '-s', '-C', join(root, 'native'), 'test'],
    blocked: () => missing(['/usr/bin/make', '/usr/bin/g++']),
  },
  {
    name: 'packet',
    what: 'the real kernel in network namespaces, the addon, and faults',
    command: [process.execPath, ava, '--config', 'ava.packet.config.mjs'],
    blocked: () =>
      needRoot() ??
      missing(['/usr/sbin/ip', '/usr/sbin/iptables-nft', '/usr/sbin/ipset']) ??
      needNamespaces(),
  },
]

async function main(args: readonly string[]): Promise<number> {
  const names = args.filter((arg) => !arg.startsWith('--'))
  const unknown = names.filter((name) => !LEVELS.some((level) => level.name === name))
  if (unknown.length > 0) {
    console.error(
      `error: no level ${unknown.join(', ')} (USAGE)\nhint: levels: ${LEVELS.map((l) => l.name).join(', ')}`,
    )
    return 2
  }
  const results: Result[] = []
  for (const level of LEVELS) {
    if (names.length > 0 && !names.includes(level.name)) continue
    results.push(await runLevel(level))
  }
  return report(results, args.includes('--no-skips'))
}

async function runLevel(level: Level): Promise<Result> {
  const because = level.blocked()
  const nothing = { level, passed: 0, failed: 0, skipped: 0, seconds: 0 }
  if (because !== undefined) return { ...nothing, kind: 'skipped', because }
  console.log(`\n── ${level.name}: ${level.what}`)
  const started = performance.now()
  const { exitCode, output } = await execute(level.command)
  const count = (pattern: RegExp): number =>
    [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1] ?? 0), 0)
  return {
    level,
    kind: exitCode === 0 ? 'passed' : 'failed',
    passed: count(/^\s*(\d+) tests? passed/gm),
    failed: count(/^\s*(\d+) (?:tests?|hooks?) failed/gm),
    skipped: count(/^\s*(\d+) tests? skipped/gm),
    seconds: (performance.now() - started) / 1000,
  }
}

function execute(command: readonly string[]): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      process.stdout.write(chunk)
      output += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ exitCode: code ?? 1, output }))
  })
}

function report(results: readonly Result[], skipsFail: boolean): number {
  const sum = (pick: (result: Result) => number): number =>
    results.reduce((total, result) => total + pick(result), 0)
  console.log('')
  for (const result of results) {
    const counts = `${result.passed} passed, ${result.failed} failed${result.skipped > 0 ? `, ${result.skipped} skipped` : ''}`
    const detail =
      result.because === undefined ? `${counts} (${result.seconds.toFixed(0)} s)` : result.because
    console.log(`${result.level.name.padEnd(8)} ${result.kind.padEnd(8)} ${detail}`)
  }
  const broken = results.some((result) => result.kind === 'failed')
  const skipped = results.some((result) => result.kind === 'skipped' || result.skipped > 0)
  if (skipped && skipsFail) console.log('error: something was skipped on a machine that supports every level')
  // A level can fail without a failed test: a crash before the first one, or a compiler error.
  const failed = Math.max(
    sum((r) => r.failed),
    broken ? 1 : 0,
  )
  console.log(`${sum((r) => r.passed)} passed, ${failed} failed, ${sum((r) => r.skipped)} skipped`)
  return broken || (skipped && skipsFail) ? 1 : 0
}

function needRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'needs root'
}

function needNamespaces(): string | undefined {
  return existsSync('/proc/self/ns/net') ? undefined : 'this kernel has no network namespaces'
}

function missing(files: readonly string[]): string | undefined {
  const absent = files.filter((file) => !existsSync(file))
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

process.exitCode = await main(process.argv.slice(2))
