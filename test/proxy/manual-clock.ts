// Time that passes only when a test says so.

import type { Clock } from '#agent/model/clock.ts'

export class ManualClock implements Clock {
  #nowMs = 1_000
  readonly #calls = new Set<{ readonly atMs: number; readonly call: () => void }>()

  get pending(): number {
    return this.#calls.size
  }

  wallMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, call: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, call }
    this.#calls.add(entry)
    return () => void this.#calls.delete(entry)
  }

  /** Runs what falls due, in order of time. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const [next] = [...this.#calls]
        .filter((each) => each.atMs <= untilMs)
        .toSorted((a, b) => a.atMs - b.atMs)
      if (next === undefined) break
      this.#calls.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.call()
    }
    this.#nowMs = untilMs
  }
}
