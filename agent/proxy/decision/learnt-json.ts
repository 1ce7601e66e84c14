// What was learnt of one endpoint as JSON, with times told from now.

import { isObject, type JsonObject } from './reasons.ts'
import type { LearntRecord } from './service-traffic.ts'

export interface LearntJson {
  readonly failures: number
  readonly ejections: number
  /** Negative: it came back so long ago. null: it was never ejected. */
  readonly ejectedForMs: number | null
  readonly latencyMs: number
  readonly latencyAgeMs: number
  /** null: it was always there. */
  readonly ageMs: number | null
}

/** No number may be larger: more than any policy allows, and a wrong one does no harm for ever. */
const MAX_NUMBER = 24 * 3_600_000

export function toldLearnt(learnt: LearntRecord, nowMs: number): LearntJson {
  const { failures, ejections, ejectedUntilMs, latency, joinedAtMs } = learnt
  return {
    failures,
    ejections,
    ejectedForMs: told(ejectedUntilMs - nowMs),
    latencyMs: latency.estimateMs,
    latencyAgeMs: Math.min(MAX_NUMBER, Math.max(0, nowMs - latency.atMs)),
    ageMs: told(nowMs - joinedAtMs),
  }
}

/** undefined: it is not what `toldLearnt` makes. */
export function readLearnt(json: unknown, nowMs: number): LearntRecord | undefined {
  if (!isObject(json)) return undefined
  const failures = numberOf(json, 'failures', 0)
  const ejections = numberOf(json, 'ejections', 0)
  const latencyMs = numberOf(json, 'latencyMs', 0)
  const latencyAgeMs = numberOf(json, 'latencyAgeMs', 0)
  const ejectedForMs = json['ejectedForMs'] === null ? -Infinity : numberOf(json, 'ejectedForMs', -MAX_NUMBER)
  const ageMs = json['ageMs'] === null ? Infinity : numberOf(json, 'ageMs', 0)
  if (failures === undefined || ejections === undefined || latencyMs === undefined) return undefined
  if (latencyAgeMs === undefined || ejectedForMs === undefined || ageMs === undefined) return undefined
  return {
    failures: Math.floor(failures),
    ejections: Math.floor(ejections),
    ejectedUntilMs: nowMs + ejectedForMs,
    latency: { estimateMs: latencyMs, atMs: nowMs - latencyAgeMs },
    joinedAtMs: nowMs - ageMs,
  }
}

/** JSON has no infinity, and what is so long ago is as good as never. */
function told(number: number): number | null {
  return Math.abs(number) <= MAX_NUMBER ? number : null
}

function numberOf(json: JsonObject, field: string, min: number): number | undefined {
  const value = json[field]
  return typeof value === 'number' && value >= min && value <= MAX_NUMBER ? value : undefined
}
