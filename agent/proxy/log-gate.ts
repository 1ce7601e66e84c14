// Lets through one log line per kind and interval, so that a peer that misbehaves thousands of times a second writes one
// line, with the number of those left out.

import type { Clock } from '../model/clock.ts'

export class LogGate {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #kinds = new Map<string, { openAtMs: number; suppressed: number }>()

  constructor(clock: Clock, intervalMs = 10_000) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  /** Calls `write` with the number of lines left out since the last one, or counts. Kinds are few and fixed. */
  pass(kind: string, write: (suppressed: number) => void): void {
    const nowMs = this.#clock.monotonicMs()
    const gate = this.#kinds.get(kind) ?? { openAtMs: nowMs, suppressed: 0 }
    this.#kinds.set(kind, gate)
    if (nowMs < gate.openAtMs) {
      gate.suppressed++
      return
    }
    const { suppressed } = gate
    gate.openAtMs = nowMs + this.#intervalMs
    gate.suppressed = 0
    write(suppressed)
  }
}
