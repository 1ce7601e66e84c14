// When an object's endpoints last changed, as the control plane says it, for the latency metric of programming them.

import type { Fields } from './fields.ts'

/** Milliseconds since 1970; undefined when not given or not readable, which is nobody's mistake to correct. */
export function changedAtMs(annotations: Fields | undefined): number | undefined {
  const text = annotations?.raw('endpoints.kubernetes.io/last-change-trigger-time')
  if (typeof text !== 'string') return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}
