// Metrics that answer what was written, 0 for what never was.

import type { Labels, MetricName, Metrics } from '#agent/model/metrics.ts'

export class RecordingMetrics implements Metrics {
  readonly #values = new Map<string, number>()

  add(name: MetricName, labels: Labels = {}, amount = 1): void {
    this.#values.set(keyOf(name, labels), this.value(name, labels) + amount)
  }

  set(name: MetricName, value: number, labels: Labels = {}): void {
    this.#values.set(keyOf(name, labels), value)
  }

  /** Counts observations. */
  observe(name: MetricName, _value: number, labels: Labels = {}): void {
    this.add(name, labels)
  }

  counter(name: MetricName, labels: Labels = {}): (amount?: number) => void {
    return (amount) => this.add(name, labels, amount)
  }

  histogram(name: MetricName, labels: Labels = {}): (value: number) => void {
    return () => this.add(name, labels)
  }

  value(name: MetricName, labels: Labels = {}): number {
    return this.#values.get(keyOf(name, labels)) ?? 0
  }
}

function keyOf(name: MetricName, labels: Labels): string {
  return `${name} ${JSON.stringify(labels)}`
}
