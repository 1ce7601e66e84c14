// Clients that were refused for want of room a moment ago. They count as clients beside those that have a connection:
// otherwise one that has all the room would take every place that becomes free before another gets its first.

import type { Ip } from '../../model/ip.ts'

/** A client that wants to come in tries again within this time. */
const REMEMBERED_MS = 10_000
/** A crowd must not make decisions slow; fewer are enough to hold the others to a small share. */
const MAX_REMEMBERED = 64

export class TurnedAway {
  /** When, the longest ago first. */
  readonly #atMs = new Map<Ip, number>()

  add(client: Ip, nowMs: number): void {
    this.#atMs.delete(client)
    this.#atMs.set(client, nowMs)
    const [oldest] = this.#atMs.keys()
    if (this.#atMs.size > MAX_REMEMBERED && oldest !== undefined) this.#atMs.delete(oldest)
  }

  /** How many of them the caller does not count already. */
  countWithout(isCounted: (client: Ip) => boolean, nowMs: number): number {
    let count = 0
    for (const [client, atMs] of this.#atMs)
      if (nowMs - atMs >= REMEMBERED_MS) this.#atMs.delete(client)
      else if (!isCounted(client)) count++
    return count
  }
}
