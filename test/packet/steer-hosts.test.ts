// Preparing hosts that are not as expected: no IPv6, leftovers of another shape, half of an earlier attempt, a program
// of another network namespace.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import type { SteerState } from '#agent/datapath/steer/steering.ts'
import { AGENT_MAIN, remote } from './steer/stage.ts'

interface Host {
  readonly call: ReturnType<typeof remote>
  run(...argv: string[]): Promise<string>
  readonly pinDir: string
  readonly pid: number
}

const BPFTOOL = '/usr/sbin/bpftool'
const withBpftool = existsSync(BPFTOOL) ? test : test.skip
if (!existsSync(BPFTOOL))
  console.log(`skipped: tests that look at BPF objects from outside; ${BPFTOOL} is not installed`)

test('a host without IPv6 steers IPv4 alone', async (t) => {
  const host = await startHost(t)
  await host.run('/usr/sbin/sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
  await host.call({ op: 'prepare', mechanism: 'sk_lookup' })
  const state = await host.call<SteerState>({ op: 'read' })
  t.deepEqual(state.routedFamilies, ['IPv4'])
  t.is(await host.run('/usr/sbin/ip', '-6', 'rule', 'show', 'pref', '5390'), '')
  await host.call({ op: 'purge' })
  t.notRegex(await host.run('/usr/sbin/ip', 'rule'), /539/)
})

withBpftool('a pin of another shape is replaced, and rules of another version are corrected', async (t) => {
  const host = await startHost(t)
  await host.call({ op: 'prepare', mechanism: 'sk_lookup' })
  await host.call({ op: 'add', keys: [{ ip: undefined, port: 30_000 }] })
  // As an older version might have left it: other map, other mask, one rule too many, one too few.
  const pin = `${host.pinDir}/steer_counters`
  await host.run('/usr/bin/rm', pin)
  const shape = ['type', 'array', 'key', '4', 'value', '4', 'entries', '1', 'name', 'old']
  await host.run(BPFTOOL, 'map', 'create', pin, ...shape)
  await host.run('/usr/sbin/ip', 'rule', 'del', 'pref', '5388')
  await host.run('/usr/sbin/ip', 'rule', 'del', 'pref', '5391')
  await host.run('/usr/sbin/ip', 'rule', 'add', 'pref', '5388', 'fwmark', '0x53/0xff', 'table', '5390')
  await host.run('/usr/sbin/ip', '-6', 'rule', 'add', 'pref', '6000', 'fwmark', '0x53/0xff', 'table', '5390')
  t.deepEqual((await host.call<SteerState>({ op: 'read' })).routedFamilies, ['IPv6'])

  await host.call({ op: 'prepare', mechanism: 'sk_lookup' })
  const state = await host.call<SteerState>({ op: 'read' })
  t.deepEqual(state.routedFamilies, ['IPv4', 'IPv6'])
  t.like(state.skLookup, { kind: 'attached', keys: [{ port: 30_000 }] })
  for (const family of ['-4', '-6']) {
    const rules = (await host.run('/usr/sbin/ip', family, 'rule'))
      .split('\n')
      .filter((line) => /^5|^6/.test(line))
    t.deepEqual(
      rules.map((line) => line.replace(/\s+/g, ' ').trim()),
      [
        '5388: from all fwmark 0x533000/0xff3000 lookup 5390',
        '5389: from all fwmark 0x532000/0xff3000 iif lo goto 5391',
        '5390: from all fwmark 0x532000/0xff3000 lookup 5390',
        '5391: from all nop',
      ],
    )
  }
})

withBpftool('preparing twice changes nothing', async (t) => {
  const host = await startHost(t)
  const look = async (): Promise<readonly string[]> => [
    await host.run('/usr/sbin/ip', 'rule'),
    await host.run('/usr/sbin/ip', '-6', 'rule'),
    await host.run('/usr/sbin/ip', 'route', 'show', 'table', 'all'),
    await host.run(BPFTOOL, 'link', 'show', 'pinned', `${host.pinDir}/steer_link`),
  ]
  await host.call({ op: 'prepare', mechanism: 'sk_lookup' })
  const once = await look()
  await host.call({ op: 'prepare', mechanism: 'sk_lookup' })
  t.deepEqual(await look(), once)
})

test('a pinned program of another network namespace is left to die, and ours attached', async (t) => {
  const first = await startHost(t)
  await first.call({ op: 'prepare', mechanism: 'sk_lookup' })
  // The same mounts and pins, another network namespace.
  const second = await startHost(t, { pinDir: first.pinDir, mountsOf: first })
  t.like(await second.call<SteerState>({ op: 'read' }), {
    skLookup: { kind: 'absent', because: 'the pinned program belongs to another network namespace' },
  })
  await second.call({ op: 'prepare', mechanism: 'sk_lookup' })
  t.like(await second.call<SteerState>({ op: 'read' }), { skLookup: { kind: 'attached' } })
})

withBpftool('several processes that attach at once end with one program', async (t) => {
  const host = await startHost(t)
  const racers = Array.from({ length: 4 }, () => {
    const inside = [
      '--target',
      String(host.pid),
      '--mount',
      '--net',
      '--',
      process.execPath,
      AGENT_MAIN,
      host.pinDir,
    ]
    const child = spawn('/usr/bin/nsenter', inside, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    t.teardown(() => child.kill('SIGKILL'))
    return remote(child)
  })
  await Promise.all(racers.map((call) => call({ op: 'live' })))
  await Promise.all(racers.map((call) => call({ op: 'prepare', mechanism: 'sk_lookup' })))
  await Promise.all(racers.map((call, i) => call({ op: 'add', keys: [{ ip: undefined, port: 30_000 + i }] })))
  const { skLookup } = await host.call<SteerState>({ op: 'read' })
  t.is(skLookup.kind === 'attached' && skLookup.keys.length, 4)
  const inode = (await host.run('/usr/bin/readlink', '/proc/self/ns/net')).replaceAll(/[^0-9]/g, '')
  const links = await host.run(BPFTOOL, 'link', 'show')
  t.is(links.split(`netns_ino ${inode} `).length - 1, 1, links)
})

test('a probe says that sk_lookup is usable here, and changes nothing', async (t) => {
  const host = await startHost(t)
  t.like(await host.call({ op: 'probe' }), { sk_lookup: { kind: 'usable' }, dnat: { kind: 'usable' } })
  t.is(await host.run('/usr/bin/ls', host.pinDir), '')
})

/** A process with mounts and a network of its own. */
async function startHost(
  t: ExecutionContext,
  like?: { readonly pinDir: string; readonly mountsOf: Host },
): Promise<Host> {
  const folder = like === undefined ? mkdtempSync(join(tmpdir(), 'shunt-steer-hosts-')) : undefined
  const pinDir = like?.pinDir ?? `${folder}/bpf`
  const mounts = like === undefined ? ['--mount'] : []
  const enter =
    like === undefined ? [] : ['/usr/bin/nsenter', '--target', String(like.mountsOf.pid), '--mount']
  const argv = [...enter, '/usr/bin/unshare', '--net', ...mounts, process.execPath, AGENT_MAIN, pinDir]
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })
  const pid = child.pid ?? 0
  const run = async (...command: string[]): Promise<string> => {
    const inside = ['--target', String(pid), '--mount', '--net', '--', ...command]
    const program = spawn('/usr/bin/nsenter', inside, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    program.stdout.on('data', (chunk) => (output += String(chunk)))
    const [code] = await once(program, 'close')
    if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}`)
    return output
  }
  const call = remote(child)
  // The first answer tells that it has entered its namespaces.
  await call({ op: 'live' })
  if (like === undefined) await run('/usr/bin/mkdir', '-p', pinDir)
  await run('/usr/sbin/ip', 'link', 'set', 'lo', 'up')
  return { call, run, pinDir, pid }
}
