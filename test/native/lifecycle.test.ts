// The addon's environment ends at every stage of its life, plainly and under AddressSanitizer, without a crash, a hang or
// a report.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { ADDON_PATH, loadNative } from '#agent/kernel/native.ts'

const NATIVE = fileURLToPath(new URL('../../native', import.meta.url))
const ASAN_ADDON = `${NATIVE}/build/asan/shunt.node`
const MAIN = fileURLToPath(new URL('./lifecycle-main.ts', import.meta.url))

const STAGES: Readonly<Record<string, string>> = {
  loaded: 'done\n',
  'exit-with-idle-connector': 'done\n',
  'exit-with-pending': '',
  'exit-with-undelivered': '',
  'close-in-callback': 'failed failed\ndone\n',
  'netlink-open': 'done\n',
  garbage: 'done\n',
  'terminated-worker': 'done\n',
}

for (const [stage, output] of Object.entries(STAGES)) {
  test(`${stage}: ends cleanly`, async (t) => {
    t.deepEqual(await run(t, stage, ADDON_PATH, {}), { code: 0, signal: null, output })
  })
}

test('uncaught: an exception ends the process with its own status', async (t) => {
  t.like(await run(t, 'uncaught', ADDON_PATH, {}), { code: 1, signal: null })
})

test('all stages under AddressSanitizer', async (t) => {
  t.timeout(300_000)
  const make = spawn('/usr/bin/make', ['-C', NATIVE, 'asan'], { stdio: 'ignore' })
  const [built] = await once(make, 'close')
  t.is(built, 0)
  // Node itself keeps memory until its end, so only errors count, not leaks.
  const env = {
    LD_PRELOAD: ['libasan.so', 'libubsan.so'].map(runtime).join(' '),
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  }
  for (const [stage, output] of Object.entries(STAGES))
    t.deepEqual(await run(t, stage, ASAN_ADDON, env), { code: 0, signal: null, output }, stage)
})

test('a missing addon, and a file that is none, give a reason', (t) => {
  const missing = loadNative('/nonexistent/shunt.node')
  t.regex(missing.kind === 'absent' ? missing.because : '', /\/nonexistent\/shunt\.node does not load: .+/)
  const noAddon = loadNative(`${NATIVE}/build/bpf/steer.bpf.o`)
  t.is(noAddon.kind, 'absent')
  // What require() loads without complaint, and is not ours.
  const other = loadNative('node:path')
  t.regex(other.kind === 'absent' ? other.because : '', /is of another version: it lacks listenTcp, /)
})

async function run(
  t: ExecutionContext,
  stage: string,
  addon: string,
  env: Readonly<Record<string, string>>,
): Promise<{ code: unknown; signal: unknown; output: string }> {
  const child = spawn(process.execPath, ['--expose-gc', MAIN, stage, addon], {
    env: { ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const [code, signal] = (await once(child, 'close')) as [unknown, unknown]
  if (code !== 0 && stage !== 'uncaught') t.log(`${stage}: ${errors.slice(0, 2000)}`)
  return { code, signal, output }
}

/** Where the compiler keeps a runtime of the sanitizers. */
function runtime(name: string): string {
  return spawnSync('/usr/bin/g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim()
}
