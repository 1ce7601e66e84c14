// From facts to findings. Pure; in the order in which an operator would ask.

import type { Capability } from '../../datapath/datapath.ts'
import { conflictsInIpRule, conflictsInRules, type MarkConflict } from './foreign-marks.ts'
import type { NodeFacts, ProgramFact } from './facts.ts'
import { checkOtherProxies } from './other-proxies.ts'
import { result, type CheckResult } from './result.ts'
import { checkSysctls } from './sysctls.ts'

export function evaluate(facts: NodeFacts): readonly CheckResult[] {
  return [
    privilege(facts.uid),
    result.info('kernel', facts.kernelRelease),
    ...facts.programs.map(checkProgram),
    addon(facts.addonMissing),
    facts.bpfFileSystem
      ? result.ok('bpf file system', 'mounted on /sys/fs/bpf')
      : result.warn(
          'bpf file system',
          'not mounted on /sys/fs/bpf',
          'mount -t bpf bpf /sys/fs/bpf; or give --run-dir, which brings its own',
        ),
    capability(`datapath ${facts.datapath.name}`, facts.datapath.capability, 'bad'),
    ...otherDatapaths(facts),
    ...Object.entries(facts.steering).map(([name, found]) => capability(`steering ${name}`, found, 'warn')),
    ...checkSysctls(facts),
    ...checkOtherProxies(facts),
    ...checkMarks(facts),
  ]
}

function privilege(uid: number): CheckResult {
  return uid === 0
    ? result.ok('privilege', 'root')
    : result.bad('privilege', `user ${uid}: the kernel cannot be asked or changed`, 'run as root')
}

function checkProgram({ name, version, purpose, debianPackage, needed }: ProgramFact): CheckResult {
  if (version !== undefined) return result.ok(name, version)
  const found = `not installed; it is for ${purpose}`
  const hint = `apt-get install ${debianPackage}`
  return needed ? result.bad(name, found, hint) : result.warn(name, found, hint)
}

function addon(missing: string | undefined): CheckResult {
  return missing === undefined
    ? result.ok('native addon', 'loaded')
    : result.warn('native addon', missing, 'build it with `npm run build`; without it nothing can be steered')
}

function capability(name: string, found: Capability, worst: 'warn' | 'bad'): CheckResult {
  return found.kind === 'usable'
    ? result.ok(name, `${found.detail} · ${found.families.join(', ')}`)
    : result[worst](name, found.because, found.hint)
}

/** This version carries Services with iptables alone; what the others will ask of the node can be seen already. */
function otherDatapaths(facts: NodeFacts): readonly CheckResult[] {
  const nft = facts.programs.find(({ name }) => name === 'nft')?.version
  const needs = [
    ['ipvs', facts.ipvs ? 'the kernel has IPVS' : 'the kernel has no IPVS (module ip_vs)'],
    ['nftables', nft === undefined ? 'nft is not installed' : `nft is installed (${nft})`],
    ['ebpf', facts.bpfFileSystem ? 'the bpf file system is mounted' : 'the bpf file system is not mounted'],
  ] as const
  return needs.map(([name, text]) => result.info(`datapath ${name}`, `not in this version; ${text}`))
}

function checkMarks(facts: NodeFacts): readonly CheckResult[] {
  const conflicts = [
    ...facts.rules.flatMap(({ program, text }) =>
      conflictsInRules(text).map((found) => ({ program, found })),
    ),
    ...facts.ipRules.flatMap((line) =>
      conflictsInIpRule(line).map((found) => ({ program: 'ip rule', found })),
    ),
  ]
  if (conflicts.length === 0) return [result.ok('packet marks', 'no rule of others uses our bits')]
  return conflicts.map(({ program, found }) => markConflict(program, found))
}

function markConflict(program: string, { rule, bits, writes }: MarkConflict): CheckResult {
  const text = `${program}: \`${rule}\` ${writes ? 'writes' : 'reads'} our bits 0x${bits.toString(16)}`
  return result.warn(
    'packet marks',
    text,
    writes
      ? 'give the other program a mask without these bits, or steered packets are lost'
      : 'give the other rule a mask without these bits, or it sees our marks',
  )
}
