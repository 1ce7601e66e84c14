// The addon's environment ends at every stage of its life, plainly and under AddressSanitizer, without a crash, a hang or
// a report.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { ADDON_PATH, loadNative } from '#agent/kernel/native.ts'

const NATIVE = fileURLToPath(new URL('../../native', import.meta.url))
const ASAN_ADDON = `${NATIVE}/build/asan/shunt.node`
const MAIN = fileURLToPath(new URL('./lifecycle-main.ts', import.meta.url))

/**
 * Brings `lo` up, so that loopback connections work, makes a neighbour that never answers, so that connections to it
 * stay pending, and becomes the program of the arguments.
 */
const START = `/usr/sbin/ip -batch - <<'END' && exec "$0" "$@"
link set lo up
link add v0 type veth peer name v1
addr add 192.0.2.2/24 dev v0
link set v0 up
link set v1 up
neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev v0
END
`

const STAGES: Readonly<Record<string, string>> = {
  loaded: 'done\n',
  'exit-with-idle-connector': 'done\n',
  'exit-with-pending': 'pending\n',
  'exit-with-undelivered': '',
  'close-in-callback': 'failed failed\ndone\n',
  'exit-with-relay': 'relayed\n',
  'close-relay-in-callback': '0\n',
  'netlink-open': 'done\n',
  steer: 'done\n',
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
  // Every run in a network and with mounts of its own, because some stages change both.
  const pins = mkdtempSync(join(tmpdir(), 'shunt-lifecycle-'))
  t.teardown(() => rmSync(pins, { recursive: true, force: true }))
  const node = [process.execPath, '--expose-gc', MAIN, stage, addon, `${pins}/bpf`]
  const child = spawn('/usr/bin/unshare', ['--net', '--mount', '--', '/bin/sh', '-c', START, ...node], {
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
