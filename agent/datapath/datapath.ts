// The seam between the Plan and a kernel mechanism. One conformance suite runs over every implementation.

import type { Family } from '../model/ip.ts'
import type { Plan } from '../plan/plan.ts'

export type DatapathName = 'iptables' | 'ipvs' | 'nftables' | 'ebpf'

export const DATAPATH_NAMES: readonly DatapathName[] = ['iptables', 'ipvs', 'nftables', 'ebpf']

/**
 * Laws, held by property tests: equal plans render equal; `change(x, x)` is empty; applying `change(a, b)` to a
 * kernel that holds `a` gives `b`; `change(undefined, b)` from any state gives `b`; tracing the rendered rules agrees
 * with explain(). Order everywhere: add before point, unpoint before delete.
 */
export interface Datapath<R = unknown> {
  readonly name: DatapathName
  /** Never changes anything; says why not. */
  probe(): Promise<Capability>
  /**
   * Whether the rules that steering needs work here; never changes anything. Asked before steering is switched on,
   * because one match that the kernel lacks would fail the whole commit, and with it every Service.
   */
  probeSteering(): Promise<SteeringCapability>
  /** Pure and deterministic. */
  render(plan: Plan): R
  /** What turns `live` into `want`; undefined: unknown state, rebuild everything of ours. */
  change(live: R | undefined, want: R): Changeset
  /** What the kernel has, only what is ours. */
  read(signal: AbortSignal): Promise<R>
  /** All or nothing for each family. Throws a ShuntError; the old rules then still hold. */
  commit(changes: Changeset, signal: AbortSignal): Promise<CommitReport>
  /** Removes everything of ours from the kernel; succeeds when there is nothing. */
  purge(signal: AbortSignal): Promise<void>
}

export interface Changeset {
  /** 0: nothing to do. */
  readonly size: number
  /** True if it rebuilds everything. */
  readonly full: boolean
  /** The text that the kernel tools get, for logs and `--dry-run`. */
  toString(): string
}

export interface CommitReport {
  /** Time spent in the kernel programs, by family. */
  readonly kernelMs: Readonly<Partial<Record<Family, number>>>
}

export type SteeringCapability = Readonly<Record<'sk_lookup' | 'dnat', Capability>>

export type Capability =
  | { readonly kind: 'usable'; readonly detail: string; readonly families: readonly Family[] }
  | { readonly kind: 'unusable'; readonly because: string; readonly hint: string }
