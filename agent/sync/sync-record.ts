// What happened to the syncs: for status, health and metrics.

import type { Changeset, CommitReport, DatapathName } from '../datapath/datapath.ts'
import type { Clock } from '../model/clock.ts'
import { messageOf, ShuntError } from '../model/errors.ts'
import type { Family } from '../model/ip.ts'
import type { Metrics } from '../model/metrics.ts'
import type { Plan } from '../plan/plan.ts'

/** Times are milliseconds since 1970; null: never. Plain JSON. */
export interface SyncState {
  /** Of the plan in force; null before the first commit. */
  readonly generation: number | null
  readonly syncs: number
  readonly failures: number
  readonly consecutiveFailures: number
  readonly lastSuccessAtMs: number | null
  readonly lastDurationMs: number | null
  readonly lastFull: boolean
  readonly lastKernelMs: Readonly<Partial<Record<Family, number>>>
  readonly lastError: { readonly code: string; readonly message: string; readonly atMs: number } | null
  /** The oldest change that is not in the kernel; null: none waits. */
  readonly pendingSinceMs: number | null
  readonly driftRepairs: number
  readonly lastDrift: { readonly atMs: number; readonly repair: string } | null
}

export interface SyncRecord {
  queued(): void
  begin(): void
  committed(what: {
    readonly plan: Plan
    readonly planMs: number
    readonly changes: Changeset
    readonly kernelMs: CommitReport['kernelMs']
  }): void
  succeed(): void
  fail(error: unknown): void
  drifted(repair: string): void
  readonly state: () => SyncState
}

export function createSyncRecord(clock: Clock, metrics: Metrics, datapath: DatapathName): SyncRecord {
  let state: Omit<SyncState, 'pendingSinceMs'> = {
    generation: null,
    syncs: 0,
    failures: 0,
    consecutiveFailures: 0,
    lastSuccessAtMs: null,
    lastDurationMs: null,
    lastFull: false,
    lastKernelMs: {},
    lastError: null,
    driftRepairs: 0,
    lastDrift: null,
  }
  let families: readonly Family[] = []
  let startedAtMs = 0
  /** The oldest change that the pass under way takes up, and the oldest that came after its start. */
  let takenSinceMs: number | null = null
  let queuedSinceMs: number | null = null

  return {
    queued() {
      queuedSinceMs ??= clock.wallMs()
      for (const ip_family of families)
        metrics.set('kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds', clock.wallMs() / 1_000, {
          ip_family,
        })
    },
    begin() {
      startedAtMs = clock.monotonicMs()
      takenSinceMs ??= queuedSinceMs
      queuedSinceMs = null
    },
    committed({ plan, planMs, changes, kernelMs }) {
      families = Object.keys(plan.families) as Family[]
      const seconds = (clock.monotonicMs() - startedAtMs) / 1_000
      metrics.observe('shunt_plan_build_seconds', planMs / 1_000)
      metrics.set('shunt_plan_generation', plan.generation)
      for (const ip_family of families) {
        metrics.observe('kubeproxy_sync_proxy_rules_duration_seconds', seconds, { ip_family })
        metrics.observe(
          changes.full
            ? 'kubeproxy_sync_full_proxy_rules_duration_seconds'
            : 'kubeproxy_sync_partial_proxy_rules_duration_seconds',
          seconds,
          { ip_family },
        )
        metrics.set('kubeproxy_sync_proxy_rules_last_timestamp_seconds', clock.wallMs() / 1_000, {
          ip_family,
        })
      }
      state = {
        ...state,
        generation: plan.generation,
        lastFull: changes.full,
        lastKernelMs: kernelMs,
      }
    },
    succeed() {
      takenSinceMs = null
      state = {
        ...state,
        syncs: state.syncs + 1,
        consecutiveFailures: 0,
        lastSuccessAtMs: clock.wallMs(),
        lastDurationMs: clock.monotonicMs() - startedAtMs,
      }
    },
    fail(error) {
      metrics.add('shunt_sync_failures_total', { datapath })
      state = {
        ...state,
        syncs: state.syncs + 1,
        failures: state.failures + 1,
        consecutiveFailures: state.consecutiveFailures + 1,
        lastDurationMs: clock.monotonicMs() - startedAtMs,
        lastError: {
          code: error instanceof ShuntError ? error.code : 'INTERNAL',
          message: messageOf(error),
          atMs: clock.wallMs(),
        },
      }
    },
    drifted(repair) {
      metrics.add('shunt_drift_repairs_total', { datapath })
      state = {
        ...state,
        driftRepairs: state.driftRepairs + 1,
        lastDrift: { atMs: clock.wallMs(), repair: repair.slice(0, 16_384) },
      }
    },
    state: () => ({ ...state, pendingSinceMs: takenSinceMs ?? queuedSinceMs }),
  }
}
