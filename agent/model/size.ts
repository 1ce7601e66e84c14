// Amounts of bytes as people read them.

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `999 B`, `1.5 kB`, `20 MB`: powers of 1000, two digits at least where there are more than bytes. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let at = 0
  while (value >= 999.5 && at < UNITS.length - 1) {
    value /= 1_000
    at++
  }
  const digits = at === 0 || value >= 9.95 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[at] ?? ''}`
}
