// Facts about the machine and the medians of repeated runs, for the results page.

import { cpus, release, totalmem } from 'node:os'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly runs: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1), runs: sorted.length }
}

/** `12.3 (11.0-15.2)`: median, smallest and largest. */
export function formatSpread(spread: Spread, digits = 1): string {
  const text = (value: number): string => value.toFixed(digits)
  return `${text(spread.median)} (${text(spread.min)}-${text(spread.max)})`
}

export function machineFacts(): string {
  const processors = cpus()
  const model = processors[0]?.model.trim() ?? 'unknown processor'
  const memoryGib = (totalmem() / 2 ** 30).toFixed(0)
  return `${processors.length} × ${model}, ${memoryGib} GiB, Linux ${release()}, Node ${process.version}`
}
