// The kernel of this node, read for the debugging commands: in the network namespace that they run in.

import { existsSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Paths } from '../config/paths.ts'
import { createIptablesDatapath } from '../datapath/iptables/datapath.ts'
import { stateText } from '../datapath/iptables/state.ts'
import { saveRules, type ToolVariant } from '../datapath/iptables/tools.ts'
import { chooseVariant } from '../datapath/iptables/variant.ts'
import { walkTables } from '../datapath/iptables/walk-tables.ts'
import { kernelSteering } from '../datapath/steer/kernel-steering.ts'
import { programSteering } from '../datapath/steer/program-steering.ts'
import { systemClock } from '../kernel/clock.ts'
import { createCommandRunner, mustRun, type CommandRunner } from '../kernel/command.ts'
import { conntrack } from '../kernel/conntrack.ts'
import { loadNative, type NativeLoad } from '../kernel/native.ts'
import type { ConntrackEntry } from '../kernel/netlink/conntrack.ts'
import { ShuntError } from '../model/errors.ts'
import { parseIp, type Family, type Ip } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Protocol } from '../model/port.ts'
import { evaluate } from './check/evaluate.ts'
import { gatherFacts } from './check/gather.ts'
import type { KernelConnection, NodePorts, NodeSettings } from './ports.ts'
import { listRemains } from './remains.ts'
import { parseIpsetSave, type Sets } from './trace/sets.ts'

export function realNode(paths: Paths, settings: NodeSettings): NodePorts {
  const runner = createCommandRunner()
  const native = loadNative()
  const pinDir = visiblePinDir(paths, settings.agentPid)
  const steering =
    native.kind === 'loaded'
      ? kernelSteering(native.native, { pinDir })
      : programSteering(runner, { pinDir, because: native.because })
  const { iptablesVariant } = settings
  // Offline commands only render: nothing is asked of the kernel before it is needed.
  let chosen: Promise<ToolVariant> | undefined
  const variant = (): Promise<ToolVariant> =>
    (chosen ??=
      iptablesVariant === 'auto'
        ? chooseVariant(runner).then((choice) => choice.variant)
        : Promise.resolve(iptablesVariant))
  const datapath = createIptablesDatapath({
    runner,
    steering,
    clock: systemClock,
    log: SILENT,
    variant: iptablesVariant,
    settings: { masqueradeMark: (1 << settings.masqueradeBit) >>> 0 },
  })
  return {
    datapath,
    steering,
    rules: async (family) => walkTables(await saveRules(runner, family, await variant())),
    sets: () => readSets(runner),
    localAddresses,
    recentClients,
    connections: (family) => Promise.resolve(readConnections(native, family)),
    check: async () => evaluate(await gatherFacts(runner, native, datapath, steering)),
    remains: (all) =>
      listRemains({
        paths,
        runner,
        datapath,
        steering,
        hasRules: async () => stateText(await datapath.read(AbortSignal.timeout(READ_TIMEOUT_MS))) !== '',
        all,
      }),
  }
}

/** 10,000 Services take iptables-nft-save some seconds. */
const READ_TIMEOUT_MS = 60_000

/** Commands answer on stdout; what adapters would log is of no interest to who typed them. */
const SILENT: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => SILENT,
}

/** Of an agent in another mount namespace (a container, `ip netns exec`) the pins are seen through its /proc folder. */
function visiblePinDir({ pinDir }: Paths, agentPid: number | undefined): string {
  if (agentPid === undefined) return pinDir
  const through = `/proc/${agentPid}/root${pinDir}`
  return existsSync(through) ? through : pinDir
}

async function readSets(runner: CommandRunner): Promise<Sets> {
  try {
    return parseIpsetSave((await mustRun(runner, { program: 'ipset', args: ['save'] })).stdout)
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PROGRAM_MISSING') return new Map()
    throw error
  }
}

function localAddresses(): ReadonlySet<Ip> {
  const addresses = Object.values(networkInterfaces()).flatMap((device) => device ?? [])
  return new Set(addresses.map(({ address }) => parseIp(address)).filter((ip) => ip !== undefined))
}

/** The kernel makes the file with the rule that uses the list. */
function recentClients(list: string): ReadonlySet<Ip> {
  let text: string
  try {
    text = readFileSync(`/proc/net/xt_recent/${list}`, 'utf8')
  } catch {
    return new Set()
  }
  const sources = [...text.matchAll(/^src=(\S+)/gm)].map((match) => parseIp(match[1] ?? ''))
  return new Set(sources.filter((ip) => ip !== undefined))
}

const PROTOCOL_NUMBERS: Readonly<Record<number, Protocol>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' }

function readConnections(load: NativeLoad, family: Family): readonly KernelConnection[] {
  if (load.kind === 'absent') throw new ShuntError('NATIVE_UNAVAILABLE', load.because)
  const socket = load.native.netlink('netfilter')
  try {
    return conntrack(socket)
      .entries()
      .filter((entry) => entry.family === family)
      .flatMap(toConnection)
  } finally {
    socket.close()
  }
}

function toConnection(entry: ConntrackEntry): readonly KernelConnection[] {
  const protocol = PROTOCOL_NUMBERS[entry.protocol]
  if (protocol === undefined) return []
  const { original, reply } = entry
  return [
    {
      protocol,
      client: { ip: original.source, port: original.sourcePort },
      destination: { ip: original.destination, port: original.destinationPort },
      answering: { ip: reply.source, port: reply.sourcePort },
      state:
        entry.tcpState ??
        (entry.status.assured ? 'assured' : entry.status.seenReply ? 'answered' : 'unanswered'),
      mark: entry.mark,
      bytes: entry.bytes,
      timeoutSeconds: entry.timeoutS,
    },
  ]
}
