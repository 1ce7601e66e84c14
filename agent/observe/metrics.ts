// The values of the METRICS table, and their text form for Prometheus. A mistake in the use of a metric never reaches
// the caller: it is reported once and the value is left out.

import { messageOf } from '../model/errors.ts'
import {
  METRICS,
  type Labels,
  type MetricName,
  type MetricRow,
  type ScrapedMetrics,
} from '../model/metrics.ts'
import { histogram, type Histogram } from './histogram.ts'

/**
 * Lines of text of one metric: making them holds the event loop up. Series beyond are gathered in one whose labels are
 * all `other`; a histogram's series has a line for each bucket.
 */
export const MAX_LINES = 20_000
const OTHER = 'other'

export interface MetricsRegistry extends ScrapedMetrics {
  /** Called each time before text() is made, to write what is cheaper to ask for than to keep. */
  beforeText(write: (metrics: ScrapedMetrics) => void): void
  /** Text exposition format 0.0.4 of everything written so far, in the order of the table. */
  text(): string
  /** The value of one counter or gauge; undefined if it was never written. */
  value(name: MetricName, labels?: Labels): number | undefined
}

export interface MetricsOptions {
  /** Hears of each wrong use once: unknown labels, a gauge used as a counter. */
  readonly onMisuse: (message: string) => void
  readonly maxLines?: number
}

interface Series {
  /** In the order of the row. */
  readonly values: readonly string[]
  /** As text, without braces. */
  readonly labels: string
  value: number
  readonly histogram: Histogram | undefined
  /** It was forgotten; who still holds it must look it up again. */
  isOver: boolean
}

export function createMetrics(options: MetricsOptions): MetricsRegistry {
  const maxLines = options.maxLines ?? MAX_LINES
  const families = new Map<MetricName, Map<string, Series>>()
  const reported = new Set<string>()
  const writers: ((metrics: ScrapedMetrics) => void)[] = []

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
    let values = row.labels.map((label) => labels[label] ?? '')
    let key = labelText(row.labels, values)
    if (!family.has(key) && family.size >= maxLines / linesOf(row)) {
      values = values.map(() => OTHER)
      key = labelText(row.labels, values)
    }
    const found = family.get(key)
    if (found !== undefined) return found
    const made: Series = {
      values,
      labels: key,
      value: 0,
      histogram: kind === 'histogram' ? histogram(row.buckets ?? []) : undefined,
      isOver: false,
    }
    family.set(key, made)
    return made
  }

  /** Looks the series up once, and again after it was forgotten. */
  function held(name: MetricName, kind: MetricRow['kind'], labels: Labels): () => Series | undefined {
    let found = series(name, kind, labels)
    return () => {
      if (found?.isOver === true) found = series(name, kind, labels)
      return found
    }
  }

  function attempt(write: (metrics: ScrapedMetrics) => void): void {
    try {
      write(registry)
    } catch (error) {
      misuse(`values that are asked for at each scrape are missing: ${messageOf(error)}`)
    }
  }

  const registry: MetricsRegistry = {
    add: (name, labels = {}, amount = 1) => registry.counter(name, labels)(amount),
    set(name, value, labels = {}) {
      const found = series(name, 'gauge', labels)
      if (found !== undefined) found.value = value
    },
    observe: (name, value, labels = {}) => registry.histogram(name, labels)(value),
    total(name, value, labels = {}) {
      const found = series(name, 'counter', labels)
      if (found !== undefined) found.value = value
    },
    counter(name, labels = {}) {
      const find = held(name, 'counter', labels)
      return (amount = 1) => {
        const found = find()
        if (found === undefined) return
        if (amount >= 0) found.value += amount
        else misuse(`counter ${name} cannot go down`)
      }
    },
    histogram(name, labels = {}) {
      const find = held(name, 'histogram', labels)
      return (value) => find()?.histogram?.observe(value)
    },
    forget(label, isOver) {
      for (const [name, family] of families) {
        const row: MetricRow = METRICS[name]
        const at = row.labels.indexOf(label)
        if (at < 0) continue
        for (const [key, one] of family) {
          const value = one.values[at] ?? ''
          if (value === '' || value === OTHER || !isOver(value)) continue
          one.isOver = true
          family.delete(key)
        }
      }
    },
    beforeText: (write) => void writers.push(write),
    value(name, labels = {}) {
      const row: MetricRow = METRICS[name]
      const values = row.labels.map((label) => labels[label] ?? '')
      const found = families.get(name)?.get(labelText(row.labels, values))
      return found?.histogram === undefined ? found?.value : undefined
    },
    text() {
      for (const write of writers) attempt(write)
      const lines: string[] = []
      for (const name of Object.keys(METRICS) as MetricName[]) {
        const family = families.get(name)
        if (family === undefined || family.size === 0) continue
        const row: MetricRow = METRICS[name]
        lines.push(`# HELP ${name} ${escapeHelp(row.help)}`, `# TYPE ${name} ${row.kind}`)
        for (const { histogram, labels, value } of family.values())
          if (histogram !== undefined) lines.push(...histogram.lines(name, labels))
          else lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${value}`)
      }
      return lines.length === 0 ? '' : `${lines.join('\n')}\n`
    },
  }
  return registry
}

/** Of one series: buckets with +Inf, sum and count. */
function linesOf(row: MetricRow): number {
  return row.kind === 'histogram' ? (row.buckets?.length ?? 0) + 3 : 1
}

/** `a="x",b="y"` in the order of the table. */
function labelText(labels: readonly string[], values: readonly string[]): string {
  return labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`).join(',')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
