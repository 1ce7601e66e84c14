// The kernel side of steering that does not depend on the datapath: BPF program and maps, rules and routes for the
// mark. The sets and the rules that set the mark are the datapath's, because they must change with its own rules.
//
// Order for callers: prepare(mechanism) and add(keys) before rules mark packets for them; remove(keys) only after no
// rule marks packets for them any more. Connections that were steered before keep their listener either way.

import type { Family, Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import type { SteeringPlan } from '../../plan/plan.ts'
import type { SteeringCapability } from '../datapath.ts'

export type Mechanism = SteeringPlan['mechanism']

export interface SteeringKernel {
  /** Never changes anything that outlives the call. */
  probe(): Promise<SteeringCapability>
  /**
   * Makes the kernel fit for the mechanism and takes away what only others need; idempotent, so it repairs too.
   * Includes the frontends and routes of the self-test. Throws a ShuntError; IPv6 is left out where the host has none.
   */
  prepare(mechanism: Mechanism): Promise<void>
  read(): Promise<SteerState>
  /** With sk_lookup: the program gives new connections of these to the proxy. Otherwise nothing to do. */
  add(keys: readonly SteerKey[]): Promise<void>
  remove(keys: readonly SteerKey[]): Promise<void>
  /** Removes program, maps, rules and routes; succeeds when there are none. */
  purge(): Promise<void>
}

/** A steered frontend; ip undefined: the port on every local address (NodePort). */
export interface SteerKey {
  readonly ip: Ip | undefined
  readonly port: Port
}

export interface SteerState {
  readonly skLookup: SkLookupState
  /** Families whose `ip rule` and table are complete. */
  readonly routedFamilies: readonly Family[]
}

export type SkLookupState =
  | { readonly kind: 'absent'; readonly because: string }
  | {
      readonly kind: 'attached'
      /** Without those of the self-test, in no order. */
      readonly keys: readonly SteerKey[]
      /** Families for which a proxy has its listener in the map. */
      readonly listeners: readonly Family[]
      /** Lookups since the maps were made. */
      readonly counters: { readonly steered: number; readonly noListener: number }
    }
