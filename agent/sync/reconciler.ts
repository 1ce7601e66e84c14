// The control loop: Snapshot -> Plan -> rules -> kernel, as often as the scheduler says, and never stopped by an error.
// Nothing is written before the source has been read completely. A failure leaves the old rules in force, forgets what
// the kernel holds, and is retried with a full rebuild.
//
//   snapshot ▶ plan ▶ render ▶ (verify) ▶ change ▶ view-add ▶ commit ▶ view-remove
//
// Every now and then the pass reads the kernel first (verify): what differs from the last commit is drift; it is logged,
// counted and repaired by the same commit.

import type { Changeset, Datapath } from '../datapath/datapath.ts'
import type { Clock } from '../model/clock.ts'
import { messageOf, ShuntError } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { buildPlan } from '../plan/build.ts'
import { diffPlan } from '../plan/diff.ts'
import { summarizeDelta } from '../plan/summary.ts'
import type { Plan, PlanOptions } from '../plan/plan.ts'
import type { Snapshot } from '../plan/snapshot.ts'
import { createScheduler } from './scheduler.ts'
import { createSyncRecord, type SyncState } from './sync-record.ts'
import type { ViewPublisher } from './view-publisher.ts'

export const SYNC_STEPS = [
  'snapshot',
  'plan',
  'render',
  'verify',
  'change',
  'view-add',
  'commit',
  'view-remove',
] as const

export type SyncStep = (typeof SYNC_STEPS)[number]

export interface ReconcilerParts<R> {
  readonly source: { synced(): boolean; snapshot(): Snapshot }
  /** Adds what no object says; the same maps must come out unchanged. */
  readonly complete: (snapshot: Snapshot) => Snapshot
  readonly planOptions: () => PlanOptions
  readonly datapath: Datapath<R>
  readonly views: ViewPublisher
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly intervals: Intervals
  /** Called after each step; tests end the process here. */
  readonly onStep: (step: SyncStep) => void
}

export interface Intervals {
  readonly minMs: number
  /** Also how often the kernel is verified, unless looking takes so long that it would keep the node busy. */
  readonly maxMs: number
  readonly retryMs: number
}

export interface Reconciler {
  /** Something changed. Before the source is synced this does nothing. */
  request(): void
  /** Rebuilds everything; resolves after the next pass, with its error if it failed. */
  resync(): Promise<SyncState>
  state(): SyncState
  /** The plan that was committed last. */
  plan(): Plan | undefined
  /** The snapshot of that plan. */
  snapshot(): Snapshot | undefined
  /** Leaves the rules in place. A pass that does not end within `graceMs` is aborted. */
  stop(graceMs: number): Promise<void>
}

interface Held<R> {
  readonly snapshot: Snapshot
  readonly plan: Plan
  readonly rendered: R
}

/** Lines of what changed that one log line carries. */
const MOST_NEWS = 20

/** Reading a large rule set takes seconds: this many times as long passes before the next look, whatever maxMs says. */
const VERIFY_REST = 50

export function createReconciler<R>(parts: ReconcilerParts<R>): Reconciler {
  const { clock, log, datapath, onStep } = parts
  const record = createSyncRecord(clock, parts.metrics, datapath.name)
  const abort = new AbortController()
  const waiting: (() => void)[] = []
  /** The last plan, committed or not: the next build starts from it. */
  let built: Omit<Held<R>, 'rendered'> | undefined
  /** What the kernel holds; undefined: unknown. */
  let held: Held<R> | undefined
  let committed: Held<R> | undefined
  let verifiedAtMs = -Infinity
  let verifyMs = 0

  const scheduler = createScheduler({
    minIntervalMs: parts.intervals.minMs,
    maxIntervalMs: parts.intervals.maxMs,
    retryIntervalMs: parts.intervals.retryMs,
    clock,
    run: async () => {
      const waiters = waiting.splice(0)
      record.begin()
      try {
        await pass()
        record.succeed()
        return true
      } catch (error) {
        held = undefined
        record.fail(error)
        log.error({ error }, 'a sync failed; the old rules stay in force')
        return false
      } finally {
        for (const done of waiters) done()
      }
    },
  })

  async function pass(): Promise<void> {
    const snapshot = parts.complete(parts.source.snapshot())
    onStep('snapshot')
    const startMs = clock.monotonicMs()
    const plan = buildPlan(snapshot, parts.planOptions(), built)
    built = { snapshot, plan }
    const planMs = clock.monotonicMs() - startMs
    onStep('plan')
    const rendered = held?.plan === plan ? held.rendered : datapath.render(plan)
    onStep('render')
    const live = held !== undefined && verificationDue() ? await verify(held) : held?.rendered
    const changes = datapath.change(live, rendered)
    onStep('change')
    await parts.views.beforeCommit(plan)
    onStep('view-add')
    const report = changes.size === 0 ? undefined : await commit(changes)
    onStep('commit')
    const news = committed === undefined ? [] : summarizeDelta(diffPlan(committed.plan, plan))
    held = { snapshot, plan, rendered }
    committed = held
    if (changes.full) verifiedAtMs = clock.monotonicMs()
    parts.views.afterCommit()
    onStep('view-remove')
    record.committed({ plan, planMs, changes, kernelMs: report?.kernelMs ?? {} })
    if (changes.size > 0)
      log.info(
        {
          generation: plan.generation,
          changes: changes.size,
          full: changes.full,
          news:
            news.length > MOST_NEWS
              ? [...news.slice(0, MOST_NEWS), `and ${news.length - MOST_NEWS} more`]
              : news,
          planMs: round(planMs),
          kernelMs: report?.kernelMs,
          totalMs: round(clock.monotonicMs() - startMs),
        },
        'the rules are in place',
      )
  }

  async function commit(changes: Changeset) {
    return await datapath.commit(changes, abort.signal)
  }

  function verificationDue(): boolean {
    return clock.monotonicMs() - verifiedAtMs >= Math.max(parts.intervals.maxMs, verifyMs * VERIFY_REST)
  }

  /** What the kernel really holds; undefined if it cannot be understood. */
  async function verify(expected: Held<R>): Promise<R | undefined> {
    const startMs = clock.monotonicMs()
    let live: R | undefined
    let difference: string
    try {
      live = await datapath.read(abort.signal)
      const drift = datapath.change(live, expected.rendered)
      difference = drift.size === 0 ? '' : drift.toString()
    } catch (error) {
      if (!(error instanceof ShuntError) || error.code !== 'RULES_UNKNOWN') throw error
      difference = messageOf(error)
    }
    verifiedAtMs = clock.monotonicMs()
    verifyMs = verifiedAtMs - startMs
    onStep('verify')
    if (difference !== '') {
      record.drifted(difference)
      log.warn({ repair: difference.slice(0, 4_000) }, 'the kernel differed from the plan and is repaired')
    }
    return live
  }

  function request(): void {
    if (!parts.source.synced()) return
    record.queued()
    scheduler.request()
  }

  return {
    request,
    async resync() {
      if (!parts.source.synced())
        throw new ShuntError(
          'NOT_READY',
          'the source has not been read completely; nothing is written before',
        )
      held = undefined
      const done = new Promise<void>((resolve) => void waiting.push(resolve))
      request()
      await done
      return record.state()
    },
    state: record.state,
    plan: () => committed?.plan,
    snapshot: () => committed?.snapshot,
    async stop(graceMs) {
      const cancel = clock.after(graceMs, () =>
        abort.abort(new ShuntError('INTERNAL', 'a sync was aborted because the agent stops')),
      )
      await scheduler.stop()
      cancel()
      for (const done of waiting.splice(0)) done()
    },
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
