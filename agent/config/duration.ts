// Durations as Go writes them (`1h30m`, `250ms`), because KubeProxyConfiguration and every operator's habit have them.

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds; undefined if the text is no duration, negative, or beyond ten years. A bare `0` is allowed. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  if (!/^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)/.test(trimmed)) return undefined
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy
  let totalMs = 0
  let end = 0
  for (let found = part.exec(trimmed); found !== null; found = part.exec(trimmed)) {
    totalMs += Number(found[1]) * (UNIT_MS[found[2] ?? ''] ?? 0)
    end = part.lastIndex
  }
  return end === trimmed.length && totalMs <= 10 * 365 * 24 * 3_600_000 ? totalMs : undefined
}

/** The shortest usual form: `30s`, `1h30m`, `250ms`, `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  let left = ms
  let out = ''
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const) {
    const count = Math.floor(left / size)
    if (count > 0) out += `${count}${unit}`
    left -= count * size
  }
  return left > 0 ? `${out}${left}ms` : out
}
