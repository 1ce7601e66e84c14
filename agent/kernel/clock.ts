// The real time.

import type { Clock } from '../model/clock.ts'

/** Node's timers: a pending call does not keep the process alive. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs).unref()
    return () => clearTimeout(timer)
  },
}
