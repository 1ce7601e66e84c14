// How many further attempts a Service port may make, so that retries cannot multiply the load on what is failing anyway:
// Linkerd's budget. Over the last ten seconds, attempts beyond the first candidates of each connection may be a part of
// the connections, and always so many a second.

import type { ConnectPolicy } from '../../model/connection-policy.ts'

type Budget = ConnectPolicy['retryBudget']

const SLOT_MS = 1_000
const SLOTS = 10
const WINDOW_SECONDS = (SLOTS * SLOT_MS) / 1_000

/** Counts in slots of a second: the window is between nine and ten seconds long. */
export class RetryBudget {
  readonly #connections = new Uint32Array(SLOTS)
  readonly #retries = new Uint32Array(SLOTS)
  /** Number of the newest slot since the start of time. */
  #newest = 0

  countConnection(nowMs: number): void {
    const slot = this.#slot(nowMs)
    this.#connections[slot] = (this.#connections[slot] ?? 0) + 1
  }

  countRetry(nowMs: number): void {
    const slot = this.#slot(nowMs)
    this.#retries[slot] = (this.#retries[slot] ?? 0) + 1
  }

  /** Further attempts that may be made now; 0: none. */
  left(nowMs: number, { percent, minPerSecond }: Budget): number {
    this.#slot(nowMs)
    const allowed = (percent / 100) * sum(this.#connections) + minPerSecond * WINDOW_SECONDS
    return Math.max(0, Math.floor(allowed - sum(this.#retries)))
  }

  /** The slot of this moment, after the ones that are over were emptied. A time before the newest counts as newest. */
  #slot(nowMs: number): number {
    const now = Math.max(this.#newest, Math.floor(nowMs / SLOT_MS))
    for (let slot = Math.max(this.#newest + 1, now - SLOTS + 1); slot <= now; slot++) {
      this.#connections[slot % SLOTS] = 0
      this.#retries[slot % SLOTS] = 0
    }
    this.#newest = now
    return now % SLOTS
  }
}

function sum(slots: Uint32Array): number {
  let total = 0
  for (const count of slots) total += count
  return total
}
