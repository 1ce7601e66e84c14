// Durations as the Gateway API writes them (GEP-2257): one to four groups of one to five digits with a unit, `1m30s`.

const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** The same text that the schema of a CustomResourceDefinition asks for. */
export const DURATION_PATTERN = '^([0-9]{1,5}(h|m|s|ms)){1,4}$'

/** Four groups of five digits and `ms`. */
export const DURATION_MAX_LENGTH = 28

const WHOLE = new RegExp(DURATION_PATTERN)

/** Milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined
  let totalMs = 0
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g))
    totalMs += Number(digits) * (UNITS_MS[unit ?? ''] ?? 0)
  return totalMs
}

/** Whole milliseconds from 0 to less than 100,000 hours; the largest units first, without those that are zero. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms)
  let text = ''
  for (const [unit, size] of Object.entries(UNITS_MS)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) text += `${count}${unit}`
  }
  return text === '' ? '0s' : text
}
