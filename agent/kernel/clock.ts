// The real time.

import type { Clock } from '../model/clock.ts'

/** A pending call keeps the process alive, as any work does: cancel what is not wanted any more. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
}
