// What `shunt check` found on the node, before anything is judged.

import type { Capability } from '../../datapath/datapath.ts'

export interface NodeFacts {
  readonly uid: number
  /** `6.18.5-generic`. */
  readonly kernelRelease: string
  readonly programs: readonly ProgramFact[]
  /** By name with dots; undefined: the kernel does not have it. */
  readonly sysctls: Readonly<Record<string, string | undefined>>
  /** Commands of all processes of the node that are Service proxies or network agents. */
  readonly processes: readonly string[]
  /** iptables-save of every variant and family that could be read. */
  readonly rules: readonly RulesFact[]
  /** Lines of `ip rule` of both families. */
  readonly ipRules: readonly string[]
  /** Tables as `nft list tables` prints them. */
  readonly nftTables: readonly string[]
  readonly hasBridge: boolean
  readonly bpfFileSystem: boolean
  readonly ipvs: boolean
  /** undefined: loaded; else why not. */
  readonly addonMissing: string | undefined
  readonly datapath: { readonly name: string; readonly capability: Capability }
  readonly steering: Readonly<Record<string, Capability>>
}

export interface ProgramFact {
  readonly name: string
  /** The first line of `--version`; undefined: not installed. */
  readonly version: string | undefined
  /** What it is for, and the package that has it. */
  readonly purpose: string
  readonly debianPackage: string
  readonly needed: boolean
}

export interface RulesFact {
  /** `iptables-nft-save`. */
  readonly program: string
  readonly text: string
}
