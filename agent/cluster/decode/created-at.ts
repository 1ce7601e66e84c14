// When an object was created, which decides between two that want the same.

import type { Fields } from './fields.ts'

/** Milliseconds since 1970; undefined when not given or not readable: controllers write it, people do not. */
export function createdAtMs(metadata: Fields): number | undefined {
  const text = metadata.raw('creationTimestamp')
  if (typeof text !== 'string') return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}
