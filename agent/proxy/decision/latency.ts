// Peak-EWMA of how long an endpoint takes to answer a connection (Finagle's and Linkerd's): it jumps to a slow sample at
// once and forgets it slowly. Numbers in, numbers out.

/** `at`: when it was `estimateMs`. */
export interface Latency {
  readonly estimateMs: number
  readonly atMs: number
}

/** What an endpoint that nobody has asked yet is thought to need; lower, it would look free and be flooded. */
export const SEED_MS = 30

/** An estimate of nothing would make any load look free. */
const FLOOR_MS = 0.001

/** The estimate now, without changing it: whoever looks, a balancer or a metric, reads the same. */
export function latencyNow({ estimateMs, atMs }: Latency, nowMs: number, decayMs: number): number {
  return Math.max(FLOOR_MS, estimateMs * Math.exp(-Math.max(0, nowMs - atMs) / decayMs))
}

/** The estimate after a sample. One from before the last, or one that is no time, changes nothing. */
export function withSample(latency: Latency, sampleMs: number, nowMs: number, decayMs: number): Latency {
  // A sample that is no finite time would stay in the average for ever.
  if (!(sampleMs >= 0 && sampleMs < Infinity) || !(nowMs >= latency.atMs)) return latency
  const old = latencyNow(latency, nowMs, decayMs)
  if (sampleMs >= old) return { estimateMs: sampleMs, atMs: nowMs }
  const weight = 1 - Math.exp(-(nowMs - latency.atMs) / decayMs)
  return { estimateMs: Math.max(FLOOR_MS, old * (1 - weight) + sampleMs * weight), atMs: nowMs }
}
