// Looks at the node for `shunt check`. What cannot be read is left out: every look is independent of the others.

import { readdirSync, readFileSync, existsSync } from 'node:fs'
import { networkInterfaces, release } from 'node:os'
import type { Datapath } from '../../datapath/datapath.ts'
import type { SteeringKernel } from '../../datapath/steer/steering.ts'
import { resolveProgram, type CommandRunner } from '../../kernel/command.ts'
import type { NativeLoad } from '../../kernel/native.ts'
import { messageOf } from '../../model/errors.ts'
import type { NodeFacts, ProgramFact, RulesFact } from './facts.ts'
import { CHECKED_SYSCTLS } from './sysctls.ts'

export async function gatherFacts(
  runner: CommandRunner,
  native: NativeLoad,
  datapath: Datapath,
  steering: SteeringKernel,
): Promise<NodeFacts> {
  const [programs, rules, ipRules, nftTables, capability, steeringFound] = await Promise.all([
    Promise.all(PROGRAMS.map((program) => version(runner, program))),
    savedRules(runner),
    Promise.all([['rule'], ['-6', 'rule']].map((args) => lines(runner, 'ip', args))),
    lines(runner, 'nft', ['list', 'tables']),
    datapath.probe().catch((error: unknown) => unusable(messageOf(error))),
    steering.probe().catch((error: unknown) => ({ sk_lookup: unusable(messageOf(error)) })),
  ])
  return {
    uid: process.getuid?.() ?? 0,
    kernelRelease: release(),
    programs,
    sysctls: Object.fromEntries(CHECKED_SYSCTLS.map((name) => [name, sysctl(name)])),
    processes: processNames(),
    rules,
    ipRules: ipRules.flat(),
    nftTables,
    hasBridge: Object.keys(networkInterfaces()).some((name) => existsSync(`/sys/class/net/${name}/bridge`)),
    bpfFileSystem: /^\S+ \/sys\/fs\/bpf bpf /m.test(read('/proc/mounts') ?? ''),
    ipvs: existsSync('/proc/net/ip_vs'),
    addonMissing: native.kind === 'absent' ? native.because : undefined,
    datapath: { name: datapath.name, capability },
    steering: steeringFound,
  }
}

type Asked = Omit<ProgramFact, 'version'> & { readonly args: readonly string[] }

const PROGRAMS: readonly Asked[] = [
  {
    name: 'iptables',
    args: ['--version'],
    purpose: 'the iptables datapath',
    debianPackage: 'iptables',
    needed: true,
  },
  {
    name: 'ip6tables',
    args: ['--version'],
    purpose: 'the iptables datapath, IPv6',
    debianPackage: 'iptables',
    needed: true,
  },
  { name: 'ipset', args: ['--version'], purpose: 'steering', debianPackage: 'ipset', needed: false },
  {
    name: 'nft',
    args: ['--version'],
    purpose: 'looking at the tables of others',
    debianPackage: 'nftables',
    needed: false,
  },
  {
    name: 'ip',
    args: ['-Version'],
    purpose: 'looking at the routing rules of others',
    debianPackage: 'iproute2',
    needed: false,
  },
]

async function version(runner: CommandRunner, { args, ...program }: Asked): Promise<ProgramFact> {
  const [first] = await lines(runner, program.name, args)
  // Some programs tell nobody but root their version.
  const installed = resolveProgram(program.name) === undefined ? undefined : 'installed'
  return { ...program, version: first ?? installed }
}

/** Both variants and families: rules of either are in force. */
async function savedRules(runner: CommandRunner): Promise<readonly RulesFact[]> {
  const programs = [
    'iptables-nft-save',
    'ip6tables-nft-save',
    'iptables-legacy-save',
    'ip6tables-legacy-save',
  ]
  const texts = await Promise.all(programs.map((program) => lines(runner, program, [])))
  return programs.flatMap((program, i) => {
    const text = texts[i] ?? []
    return text.length === 0 ? [] : [{ program, text: text.join('\n') }]
  })
}

/** No lines if the program is missing or fails. */
async function lines(
  runner: CommandRunner,
  program: string,
  args: readonly string[],
): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await runner.run({ program, args, timeoutMs: 30_000 })
    return exitCode === 0 ? stdout.split('\n').filter((line) => line !== '') : []
  } catch {
    return []
  }
}

function processNames(): readonly string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return [
    ...new Set(pids.map((pid) => read(`/proc/${pid}/comm`)?.trim() ?? '').filter((name) => name !== '')),
  ]
}

function sysctl(name: string): string | undefined {
  return read(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim()
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function unusable(because: string): {
  readonly kind: 'unusable'
  readonly because: string
  readonly hint: string
} {
  return { kind: 'unusable', because, hint: 'run as root in the network namespace of the node' }
}
