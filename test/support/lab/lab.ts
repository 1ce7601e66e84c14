// A lab: two simulated nodes, their pods, a client outside and the switch between them, in network namespaces of one
// process. A node also has its own mounts (/run, /sys with a bpf file system, /var/lib), so that two agents with
// default paths live side by side and each node has its own xtables lock. close() leaves nothing behind; what a
// killed owner left is swept by the next lab.

import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { abandonedNamespaces, isAlive, namespacePath, namespacesStarting, pidsInside } from './namespaces.ts'
import { startPeer, type Peer } from './peer.ts'
import { createProcesses, type Processes, type Ran, type RunOptions, type SpawnOptions } from './processes.ts'
import { placesOf, ROUTED, type NodeSpec, type PlaceName, type Topology } from './topology.ts'
import { wire } from './wiring.ts'

export interface Lab {
  readonly topology: Topology
  /** A scratch folder of the lab, visible from every place. */
  readonly folder: string
  namespaceOf(place: PlaceName): string
  node(name: PlaceName): NodeSpec
  /** The whole command line that runs a program at a place. */
  argvAt(place: PlaceName, argv: readonly string[]): readonly string[]
  /** Runs a program at a place; throws ProgramFailed unless it may fail. */
  exec(place: PlaceName, argv: readonly string[], options?: RunOptions): Promise<Ran>
  spawn(place: PlaceName, argv: readonly string[], options?: SpawnOptions): ChildProcess
  /** The process at that place that listens and connects; started when first asked for. */
  peer(place: PlaceName): Promise<Peer>
  /** Ends every process of the lab and removes its namespaces. */
  close(): Promise<void>
}

export interface LabOptions {
  /**
   * The lab stays up when this process ends, under names that start with `shunt-<outlives>-`; a lab that is still up
   * under that name is taken down first.
   */
  readonly outlives?: string
}

let labsMade = 0

/** Builds the topology; about a third of a second. */
export async function createLab(topology: Topology = ROUTED, options: LabOptions = {}): Promise<Lab> {
  const processes = createProcesses()
  await sweep(processes)
  const stays = options.outlives !== undefined
  const prefix = stays ? `shunt-${options.outlives}-` : `shunt-${process.pid}-${labsMade++}-`
  if (stays) await takeDown(options.outlives)
  const folder = mkdtempSync(join(tmpdir(), `shunt-lab-${stays ? options.outlives : process.pid}-`))
  const namespaceOf = (place: PlaceName): string => `${prefix}${place}`
  const holders = new Map<PlaceName, ChildProcess>()
  const peers = new Map<PlaceName, Promise<Peer>>()

  const remove = async (): Promise<void> => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    await processes.endAll()
    await removeNamespaces(processes, namespacesStarting(prefix))
    rmSync(folder, { recursive: true, force: true })
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    void remove().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)

  try {
    await build(topology, namespaceOf, processes)
    await Promise.all(
      topology.nodes.map(async (node) => {
        holders.set(node.name, await holdMounts(processes, namespaceOf(node.name), stays))
      }),
    )
  } catch (error) {
    await remove()
    throw error
  }

  const argvAt = (place: PlaceName, argv: readonly string[]): readonly string[] => {
    const holder = holders.get(place)
    return holder === undefined
      ? ['/usr/bin/nsenter', `--net=${namespacePath(namespaceOf(place))}`, '--', ...argv]
      : ['/usr/bin/nsenter', '--target', String(holder.pid), '--mount', '--net', '--', ...argv]
  }
  return {
    topology,
    folder,
    namespaceOf,
    argvAt,
    node: (name) => {
      const found = topology.nodes.find((node) => node.name === name)
      if (found === undefined) throw new Error(`the lab has no node ${name}`)
      return found
    },
    exec: (place, argv, options) => processes.run(argvAt(place, argv), options),
    spawn: (place, argv, options) => processes.spawn(argvAt(place, argv), options),
    peer: (place) => {
      const known = peers.get(place)
      if (known !== undefined) return known
      const started = startPeer(place, stays, (argv, options) =>
        processes.spawn(argvAt(place, argv), options),
      )
      peers.set(place, started)
      return started
    },
    close: remove,
  }
}

/** Removes the namespaces of labs whose owner is dead, and the processes inside them. */
export async function sweep(processes: Processes = createProcesses()): Promise<number> {
  const abandoned = abandonedNamespaces()
  await removeNamespaces(processes, abandoned)
  removeFolders((owner) => /^[0-9]+$/.test(owner) && !isAlive(Number(owner)))
  return abandoned.length
}

/** Takes down a lab that outlived its maker. */
export async function takeDown(name: string): Promise<boolean> {
  const names = namespacesStarting(`shunt-${name}-`)
  await removeNamespaces(createProcesses(), names)
  removeFolders((owner) => owner === name)
  return names.length > 0
}

async function removeNamespaces(processes: Processes, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  // Only processes of our own live in namespaces that carry our name.
  for (let round = 0; round < 20; round++) {
    const pids = pidsInside(names)
    if (pids.length === 0) break
    for (const pid of pids) killQuietly(pid)
    await sleep(10)
  }
  const input = names.map((name) => `netns del ${name}\n`).join('')
  await processes.run(['/usr/sbin/ip', '-force', '-batch', '-'], { input, mayFail: true })
}

function removeFolders(isOurs: (owner: string) => boolean): void {
  for (const entry of readdirSync(tmpdir())) {
    const owner = /^shunt-lab-([^-]+)-/.exec(entry)?.[1]
    if (owner !== undefined && isOurs(owner)) rmSync(join(tmpdir(), entry), { recursive: true, force: true })
  }
}

async function build(
  topology: Topology,
  namespaceOf: (place: PlaceName) => string,
  processes: Processes,
): Promise<void> {
  const wiring = wire(topology, namespaceOf)
  await processes.run(['/usr/sbin/ip', '-batch', '-'], { input: wiring.cables })
  // Forwarding first: switching it on later would drop routes that IPv6 has already learnt.
  await Promise.all(
    [...wiring.sysctls].map(async ([place, settings]) => {
      const netns = `--net=${namespacePath(namespaceOf(place))}`
      await processes.run(['/usr/bin/nsenter', netns, '--', '/usr/sbin/sysctl', '-q', '-w', ...settings])
    }),
  )
  await Promise.all(
    placesOf(topology).map((place) =>
      processes.run(['/usr/sbin/ip', '-n', namespaceOf(place), '-batch', '-'], {
        input: wiring.inside.get(place) ?? '',
      }),
    ),
  )
}

/** A process that holds a node's mount namespace; it dies with us unless it is to stay. */
async function holdMounts(processes: Processes, namespace: string, stays: boolean): Promise<ChildProcess> {
  const outside = readlinkSync('/proc/self/ns/mnt')
  const sleeper = [
    ...(stays ? [] : ['/usr/bin/setpriv', '--pdeathsig', 'KILL']),
    '/usr/bin/sleep',
    'infinity',
  ]
  const enter = ['/usr/bin/nsenter', `--net=${namespacePath(namespace)}`, '--', '/usr/bin/unshare', '--mount']
  const holder = processes.spawn([...enter, '--', ...sleeper], { stdio: 'ignore' })
  for (let tries = 0; mountsOf(holder.pid) === outside || mountsOf(holder.pid) === ''; tries++) {
    if (tries > 500 || holder.exitCode !== null) throw new Error(`no mount namespace for ${namespace}`)
    await sleep(5)
  }
  const inside = ['/usr/bin/nsenter', '--target', String(holder.pid), '--mount', '--net', '--']
  const mounts = [
    ['tmpfs', '/run'],
    ['tmpfs', '/var/lib'],
    ['sysfs', '/sys'],
    ['bpf', '/sys/fs/bpf'],
  ]
  for (const [type = '', target = ''] of mounts) {
    await processes.run([...inside, '/usr/bin/mount', '-t', type, type, target])
  }
  return holder
}

function mountsOf(pid: number | undefined): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return ''
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}
