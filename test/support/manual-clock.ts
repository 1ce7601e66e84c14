// Time that stands still until a test moves it.

import type { Clock } from '#agent/model/clock.ts'

export interface ManualClock extends Clock {
  /** Moves time on, running what falls due in order; lets promises settle before, between and after. */
  advance(ms: number): Promise<void>
  /** Moves time on and runs nothing, as when the thread stands still. */
  jump(ms: number): void
  /** Calls that wait. */
  readonly pending: number
}

export function manualClock(startMs = 1_000_000): ManualClock {
  let nowMs = startMs
  let order = 0
  const waiting = new Map<number, { readonly atMs: number; readonly call: () => void }>()
  const next = (untilMs: number): number | undefined => {
    let best: number | undefined
    for (const [id, { atMs }] of waiting)
      if (atMs <= untilMs && (best === undefined || atMs < (waiting.get(best)?.atMs ?? 0))) best = id
    return best
  }
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, call) {
      const id = order++
      waiting.set(id, { atMs: nowMs + delayMs, call })
      return () => waiting.delete(id)
    },
    async advance(ms) {
      const untilMs = nowMs + ms
      await settle()
      for (let id = next(untilMs); id !== undefined; id = next(untilMs)) {
        const due = waiting.get(id)
        waiting.delete(id)
        nowMs = Math.max(nowMs, due?.atMs ?? nowMs)
        due?.call()
        await settle()
      }
      nowMs = untilMs
    },
    jump(ms) {
      nowMs += ms
    },
    get pending() {
      return waiting.size
    },
  }
}

/** Lets everything run that waits for promises alone. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}
