// The proxy's connections: those that live, by worker, and the last ones that ended. What `shunt connections` shows.

import type { Connection } from './connection.ts'
import type { Worker } from './worker.ts'

export class ConnectionTable {
  readonly #workers = new Set<Worker>()
  readonly #ended: Connection[] = []
  readonly #endedCapacity: number
  #size = 0
  #nextSlot = 0
  #lastNumber = 0
  #onEmpty: (() => void) | undefined

  constructor(endedCapacity = 1_000) {
    this.#endedCapacity = endedCapacity
  }

  /** Open connections. */
  get size(): number {
    return this.#size
  }

  newNumber(): number {
    return ++this.#lastNumber
  }

  add(connection: Connection): void {
    this.#workers.add(connection.worker)
    connection.worker.connections.set(connection.id, connection)
    this.#size++
  }

  /** Moves it to those that ended, whose oldest makes room; not `kept`, it is forgotten. */
  end(connection: Connection, kept: boolean): void {
    const { worker, id } = connection
    worker.connections.delete(id)
    this.#size--
    if (kept) {
      this.#ended[this.#nextSlot] = connection
      this.#nextSlot = (this.#nextSlot + 1) % this.#endedCapacity
    }
    if (this.#size === 0) this.#onEmpty?.()
  }

  /** Oldest first, at most so many. */
  live(limit = Number.POSITIVE_INFINITY): readonly Connection[] {
    // Those of engines that were replaced among them.
    for (const worker of this.#workers) if (worker.connections.size === 0) this.#workers.delete(worker)
    // Each worker's are in order; the oldest of all is among the oldest of each.
    const queues = [...this.#workers].map(({ connections }) => connections.values())
    const heads = queues.map((queue) => queue.next().value)
    const found: Connection[] = []
    while (found.length < limit) {
      let oldest = -1
      for (const [at, head] of heads.entries())
        if (head !== undefined && head.number < (heads[oldest]?.number ?? Number.POSITIVE_INFINITY))
          oldest = at
      const next = heads[oldest]
      if (next === undefined) break
      found.push(next)
      heads[oldest] = queues[oldest]?.next().value
    }
    return found
  }

  /** In no order, without a list of them. */
  forEachLive(visit: (connection: Connection) => void): void {
    for (const { connections } of this.#workers) connections.forEach(visit)
  }

  /** Newest first. */
  ended(): readonly Connection[] {
    return [...this.#ended.slice(this.#nextSlot), ...this.#ended.slice(0, this.#nextSlot)].reverse()
  }

  /** Resolves as soon as no connection is open. */
  async empty(): Promise<void> {
    if (this.#size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    await promise
  }
}
