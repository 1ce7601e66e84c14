// Everything that commands may touch, as capabilities. real-ports.ts makes them from the process and the node, tests
// from plain values.

import type { Configuration } from '../config/options.ts'
import type { Paths } from '../config/paths.ts'
import type { Datapath } from '../datapath/datapath.ts'
import type { WalkTables } from '../datapath/iptables/walk.ts'
import type { SteeringKernel } from '../datapath/steer/steering.ts'
import type { Clock } from '../model/clock.ts'
import type { Problem } from '../model/errors.ts'
import type { Family, Ip } from '../model/ip.ts'
import type { Protocol } from '../model/port.ts'
import type { Plan } from '../plan/plan.ts'
import type { AdminClient } from './admin-client.ts'
import type { CheckResult } from './check/result.ts'
import type { ExitCode } from './exit.ts'

export interface Ports {
  stdout(text: string): void
  stderr(text: string): void
  readonly clock: Clock
  /** Flags (by option key), environment, configuration file and defaults. Throws CONFIG_INVALID. */
  configuration(flags: Readonly<Record<string, string | undefined>>): Promise<Configuration>
  agent(paths: Paths): AdminClient
  proxy(paths: Paths): AdminClient
  /** Reads a file or a folder of manifests as an agent with these flags would. */
  manifests(path: string, flags: Readonly<Record<string, string>>): Promise<OfflineSource>
  /** The kernel of this node and its network namespace. */
  node(paths: Paths, settings: NodeSettings): Promise<NodePorts>
  readonly processes: Processes
}

/** Manifests without an agent. */
export interface OfflineSource {
  /** Objects that were read, good ones only. */
  readonly objects: number
  readonly problems: readonly Problem[]
  /** The plan of the valid objects. */
  plan(): Plan
}

/** What of the agent's configuration its rules depend on, besides the plan. */
export interface NodeSettings extends Pick<Configuration, 'iptablesVariant' | 'masqueradeBit'> {
  /** The running agent, whose mounts may be others than ours. */
  readonly agentPid?: number
}

export interface NodePorts {
  readonly datapath: Datapath
  readonly steering: SteeringKernel
  /** The rules of a family, every chain of our tables. */
  rules(family: Family): Promise<WalkTables>
  /** Members of every ipset, by the set's name, as `ipset save` prints them after `add NAME`. */
  sets(): Promise<ReadonlyMap<string, readonly string[]>>
  localAddresses(): ReadonlySet<Ip>
  /** The clients in an xt_recent list, expired ones included. */
  recentClients(list: string): ReadonlySet<Ip>
  connections(family: Family): Promise<readonly KernelConnection[]>
  /** Everything that `shunt check` looks at. */
  check(): Promise<readonly CheckResult[]>
  /** What an agent left here, in the order in which to remove it; with `all`, what kube-proxy left too. */
  remains(all: boolean): Promise<readonly Remain[]>
}

/** A connection that conntrack knows and NAT of Services changed. */
export interface KernelConnection {
  readonly protocol: Protocol
  readonly client: { readonly ip: Ip; readonly port: number }
  readonly destination: { readonly ip: Ip; readonly port: number }
  /** Who answers: the endpoint, or the destination itself where nothing was translated. */
  readonly answering: { readonly ip: Ip; readonly port: number }
  readonly state: string
  readonly mark: number
  /** Both directions; undefined where accounting is off. */
  readonly bytes: number | undefined
  readonly timeoutSeconds: number
}

export interface Remain {
  /** `iptables rules and ipsets`, `/run/shunt/agent.sock`. */
  readonly what: string
  remove(signal: AbortSignal): Promise<void>
}

/** The long-running commands; each resolves when its process should end. Flags as commander gives them, by option key. */
export interface Processes {
  agent(flags: Readonly<Record<string, unknown>>): Promise<ExitCode>
  proxy(flags: Readonly<Record<string, unknown>>): Promise<ExitCode>
  run(flags: Readonly<Record<string, unknown>>): Promise<ExitCode>
}
