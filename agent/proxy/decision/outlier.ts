// The rules of ejection: an endpoint that refuses several connections in a row gets none for a while. Envoy's consecutive
// local-origin failures, with its times (base times how often in a row) and its share (at most so many percent of a pool,
// but one endpoint always). Numbers in, answers out; service-traffic.ts keeps the numbers.

import type { OutlierPolicy } from '../../model/connection-policy.ts'

/** What is remembered of one endpoint. */
export interface OutlierRecord {
  /** Failures since the last connection that was opened. */
  readonly failures: number
  /** How often in a row it was ejected; each ten seconds in health take one off. */
  readonly ejections: number
  /** Monotonic; in the past or -Infinity: it is not ejected. */
  readonly ejectedUntilMs: number
}

/** The multiplier falls by one for each such time that an endpoint stays in; the interval of Envoy's sweeps. */
export const HEALTHY_STEP_MS = 10_000

const BLAMED = new Set([
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ECONNRESET',
  'EHOSTDOWN',
])

/**
 * True for failures that are the endpoint's. Without a source port, a descriptor or memory the node itself failed, and
 * ejecting the endpoints for that would add an outage to a shortage.
 */
export function blamesEndpoint(code: string): boolean {
  return BLAMED.has(code)
}

export function isIn({ ejectedUntilMs }: Pick<OutlierRecord, 'ejectedUntilMs'>, nowMs: number): boolean {
  return ejectedUntilMs <= nowMs
}

/** Whether the record asks for an ejection; whether the pool can spare the endpoint is another question. */
export function isOutlier(record: OutlierRecord, nowMs: number, policy: OutlierPolicy): boolean {
  return isIn(record, nowMs) && record.failures >= policy.consecutiveFailures
}

/** `ejected`: how many of the pool's `size` endpoints are out already. */
export function maySpare(size: number, ejected: number, { maxEjectionPercent }: OutlierPolicy): boolean {
  return ejected < Math.max(1, Math.floor((size * maxEjectionPercent) / 100))
}

/** The record after an ejection that begins now. */
export function eject(record: OutlierRecord, nowMs: number, policy: OutlierPolicy): OutlierRecord {
  const ejections = ejectionsInARow(record, nowMs) + 1
  const timeMs = Math.min(policy.baseEjectionMs * ejections, policy.maxEjectionMs)
  return { failures: 0, ejections, ejectedUntilMs: nowMs + timeMs }
}

/** With so few endpoints left the others would be overrun; what is ejected may be no worse. */
export function isPanic(size: number, usable: number, { panicPercent }: OutlierPolicy): boolean {
  return usable * 100 < size * panicPercent
}

function ejectionsInARow({ ejections, ejectedUntilMs }: OutlierRecord, nowMs: number): number {
  if (ejections === 0) return 0
  return Math.max(0, ejections - Math.floor(Math.max(0, nowMs - ejectedUntilMs) / HEALTHY_STEP_MS))
}
