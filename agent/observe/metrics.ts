// The values of the METRICS table, and their text form for Prometheus. A mistake in the use of a metric never reaches
// the caller: it is reported once and the value is left out.

import { METRICS, type Labels, type MetricName, type MetricRow, type Metrics } from '../model/metrics.ts'
import { histogram, type Histogram } from './histogram.ts'

/** Series of one metric beyond this number are gathered in one whose labels are all `other`. */
export const MAX_SERIES = 20_000

export interface MetricsRegistry extends Metrics {
  /** Text exposition format 0.0.4 of everything written so far, in the order of the table. */
  text(): string
  /** The value of one counter or gauge; undefined if it was never written. */
  value(name: MetricName, labels?: Labels): number | undefined
}

export interface MetricsOptions {
  /** Hears of each wrong use once: unknown labels, a gauge used as a counter. */
  readonly onMisuse: (message: string) => void
  readonly maxSeries?: number
}

type Series =
  | { readonly labels: string; value: number }
  | { readonly labels: string; readonly hist: Histogram }

export function createMetrics(options: MetricsOptions): MetricsRegistry {
  const maxSeries = options.maxSeries ?? MAX_SERIES
  const families = new Map<MetricName, Map<string, Series>>()
  const reported = new Set<string>()

  function misuse(message: string): undefined {
    if (!reported.has(message)) {
      reported.add(message)
      options.onMisuse(message)
    }
    return undefined
  }

  function series(name: MetricName, kind: MetricRow['kind'], labels: Labels): Series | undefined {
    const row: MetricRow = METRICS[name]
    if (row.kind !== kind) return misuse(`metric ${name} is a ${row.kind}, used as a ${kind}`)
    const given = Object.keys(labels)
    if (given.length !== row.labels.length || row.labels.some((label) => labels[label] === undefined))
      return misuse(`metric ${name} wants labels [${row.labels.join(', ')}], got [${given.join(', ')}]`)
    const family = families.get(name) ?? new Map<string, Series>()
    families.set(name, family)
    let key = labelText(row.labels.map((label) => [label, labels[label] ?? '']))
    if (!family.has(key) && family.size >= maxSeries) key = labelText(row.labels.map((l) => [l, 'other']))
    const found = family.get(key)
    if (found !== undefined) return found
    const made: Series =
      kind === 'histogram' ? { labels: key, hist: histogram(row.buckets ?? []) } : { labels: key, value: 0 }
    family.set(key, made)
    return made
  }

  return {
    add(name, labels = {}, amount = 1) {
      this.counter(name, labels)(amount)
    },
    set(name, value, labels = {}) {
      const found = series(name, 'gauge', labels)
      if (found !== undefined && 'value' in found) found.value = value
    },
    observe(name, value, labels = {}) {
      const found = series(name, 'histogram', labels)
      if (found !== undefined && 'hist' in found) found.hist.observe(value)
    },
    counter(name, labels = {}) {
      const found = series(name, 'counter', labels)
      if (found === undefined || !('value' in found)) return () => {}
      return (amount = 1) => {
        if (amount >= 0) found.value += amount
        else misuse(`counter ${name} cannot go down`)
      }
    },
    histogram(name, labels = {}) {
      const found = series(name, 'histogram', labels)
      return found !== undefined && 'hist' in found ? found.hist.observe : () => {}
    },
    value(name, labels = {}) {
      const row: MetricRow = METRICS[name]
      const key = labelText(row.labels.map((label) => [label, labels[label] ?? '']))
      const found = families.get(name)?.get(key)
      return found !== undefined && 'value' in found ? found.value : undefined
    },
    text() {
      const lines: string[] = []
      for (const name of Object.keys(METRICS) as MetricName[]) {
        const family = families.get(name)
        if (family === undefined) continue
        const row: MetricRow = METRICS[name]
        lines.push(`# HELP ${name} ${escapeHelp(row.help)}`, `# TYPE ${name} ${row.kind}`)
        for (const one of family.values())
          if ('hist' in one) lines.push(...one.hist.lines(name, one.labels))
          else lines.push(`${name}${one.labels === '' ? '' : `{${one.labels}}`} ${one.value}`)
      }
      return lines.length === 0 ? '' : `${lines.join('\n')}\n`
    },
  }
}

/** `a="x",b="y"` in the order of the table. */
function labelText(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([label, value]) => `${label}="${escapeLabel(value)}"`).join(',')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
