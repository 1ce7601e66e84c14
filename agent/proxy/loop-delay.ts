// How long the event loop keeps connections waiting, as a metric.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock } from '../model/clock.ts'
import type { Metrics } from '../model/metrics.ts'

const INTERVAL_MS = 1_000
/** The distance of samples; an idle loop shows as much, so it is taken off. */
const RESOLUTION_MS = 20

/** Sets the gauge every second until the returned function is called. */
export function watchLoopDelay(clock: Clock, metrics: Metrics): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let cancel = (): void => {}
  const look = (): void => {
    const longestMs = histogram.max / 1e6 - RESOLUTION_MS
    metrics.set('shunt_proxy_event_loop_delay_seconds', Math.max(0, longestMs) / 1_000)
    histogram.reset()
    cancel = clock.after(INTERVAL_MS, look)
  }
  cancel = clock.after(INTERVAL_MS, look)
  return () => {
    cancel()
    histogram.disable()
  }
}
