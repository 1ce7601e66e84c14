// When to sync. Three guarantees, whatever is requested how often:
//   - from the end of one run to the start of the next at least `minIntervalMs` go by; requests in between coalesce;
//   - a run starts at the latest `maxIntervalMs` after the end of the last one, requested or not;
//   - after a run that failed the next starts at the latest `retryIntervalMs` after its end.

import type { Clock } from '../model/clock.ts'

export interface SchedulerOptions {
  readonly minIntervalMs: number
  readonly maxIntervalMs: number
  readonly retryIntervalMs: number
  readonly clock: Clock
  /** True if it succeeded. Runs never overlap. A throw counts as a failure. */
  readonly run: () => Promise<boolean>
}

export interface Scheduler {
  /** Asks for a run; one that is under way does not count, because it may have looked before the change. */
  request(): void
  /** No new run starts; resolves when the one under way is over. */
  stop(): Promise<void>
}

/** Nothing runs before the first request. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { clock, minIntervalMs, maxIntervalMs, retryIntervalMs } = options
  let requested = false
  let failed = false
  let stopped = false
  let endedAtMs: number | undefined
  let running: Promise<void> | undefined
  let cancel = (): void => {}

  function dueAtMs(): number {
    if (endedAtMs === undefined) return requested ? clock.monotonicMs() : Infinity
    const latest = endedAtMs + (failed ? Math.min(retryIntervalMs, maxIntervalMs) : maxIntervalMs)
    return Math.max(endedAtMs + minIntervalMs, requested ? 0 : latest)
  }

  function plan(): void {
    cancel()
    if (stopped || running !== undefined) return
    const atMs = dueAtMs()
    if (atMs === Infinity) return
    const delayMs = atMs - clock.monotonicMs()
    if (delayMs <= 0) start()
    else cancel = clock.after(delayMs, plan)
  }

  function start(): void {
    requested = false
    running = options
      .run()
      .catch(() => false)
      .then((succeeded) => {
        failed = !succeeded
        endedAtMs = clock.monotonicMs()
        running = undefined
        plan()
      })
  }

  return {
    request() {
      requested = true
      plan()
    },
    async stop() {
      stopped = true
      cancel()
      await running
    },
  }
}
