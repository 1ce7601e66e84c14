// What an agent left on this node, found by looking, each with a way to take it away. The order is that of removal:
// what points at others goes first.

import { existsSync, readdirSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Paths } from '../config/paths.ts'
import type { Datapath } from '../datapath/datapath.ts'
import type { SteeringKernel } from '../datapath/steer/steering.ts'
import { mustRun, type CommandRunner } from '../kernel/command.ts'
import type { Remain } from './ports.ts'

export interface RemainsParts {
  readonly paths: Paths
  readonly runner: CommandRunner
  readonly datapath: Datapath
  readonly steering: SteeringKernel
  readonly hasRules: () => Promise<boolean>
  /** What kube-proxy left too. */
  readonly all: boolean
}

export async function listRemains(parts: RemainsParts): Promise<readonly Remain[]> {
  return [
    ...(await rules(parts)),
    ...(await steeringObjects(parts)),
    ...files(parts.paths),
    ...(parts.all ? await kubeProxyLeftovers(parts.runner) : []),
  ]
}

async function rules({ datapath, hasRules }: RemainsParts): Promise<readonly Remain[]> {
  if (!(await hasRules())) return []
  return [{ what: `the rules and sets of ${datapath.name}`, remove: (signal) => datapath.purge(signal) }]
}

async function steeringObjects({ steering, paths }: RemainsParts): Promise<readonly Remain[]> {
  const { skLookup, routedFamilies } = await steering.read()
  if (skLookup.kind === 'absent' && routedFamilies.length === 0 && !existsSync(paths.pinDir)) return []
  return [{ what: 'the sk_lookup program, its maps, ip rules and routes', remove: () => steering.purge() }]
}

function files(paths: Paths): readonly Remain[] {
  const sockets = [paths.agentSocket, paths.proxySocket, paths.handoverSocket, paths.viewSocket]
  const ours = [...sockets, paths.stateDir].filter((path) => existsSync(path))
  const remains = ours.map((path) => ({
    what: path,
    remove: () => rm(path, { recursive: true, force: true }),
  }))
  return existsSync(paths.runDir) && isOnlyOf(paths.runDir, [...ours, paths.pinDir])
    ? [...remains, { what: paths.runDir, remove: () => rmdir(paths.runDir) }]
    : remains
}

/** What somebody else put into the folder keeps the folder. */
function isOnlyOf(folder: string, ours: readonly string[]): boolean {
  return readdirSync(folder).every((name) => ours.includes(join(folder, name)))
}

/** The modes of kube-proxy that are not iptables, whose chains are ours by name. */
async function kubeProxyLeftovers(runner: CommandRunner): Promise<readonly Remain[]> {
  const found: Remain[] = []
  const remove = (what: string, program: string, args: readonly string[]): void => {
    found.push({ what, remove: async (signal) => void (await mustRun(runner, { program, args }, signal)) })
  }
  const tables = await output(runner, 'nft', ['list', 'tables'])
  for (const family of ['ip', 'ip6'])
    if (tables.includes(`table ${family} kube-proxy\n`))
      remove(`nftables table ${family} kube-proxy`, 'nft', ['delete', 'table', family, 'kube-proxy'])
  if (existsSync('/sys/class/net/kube-ipvs0')) {
    if ((await output(runner, 'ipvsadm', ['--save'])) !== '')
      remove('IPVS virtual servers', 'ipvsadm', ['--clear'])
    remove('interface kube-ipvs0', 'ip', ['link', 'delete', 'kube-ipvs0'])
  }
  const sets = (await output(runner, 'ipset', ['list', '-n']))
    .split('\n')
    .filter((name) => name.startsWith('KUBE-'))
  for (const name of sets) remove(`ipset ${name}`, 'ipset', ['destroy', name])
  return found
}

/** '' if the program is missing or fails. */
async function output(runner: CommandRunner, program: string, args: readonly string[]): Promise<string> {
  try {
    const { exitCode, stdout } = await runner.run({ program, args })
    return exitCode === 0 ? stdout : ''
  } catch {
    return ''
  }
}
