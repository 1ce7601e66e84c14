// The table of the proxy's connections: those that live, and the last ones that ended. What `shunt connections` shows.

import type { ConnectionRecord } from './admin-shapes.ts'

export interface LiveSession {
  readonly id: number
  record(): ConnectionRecord
  /** Ends it now, with a reset. */
  stop(): void
}

export class Sessions {
  readonly #live = new Map<number, LiveSession>()
  readonly #ended: ConnectionRecord[] = []
  readonly #endedCapacity: number
  #nextSlot = 0
  #nextId = 1
  #onEmpty: (() => void) | undefined

  constructor(endedCapacity = 1_000) {
    this.#endedCapacity = endedCapacity
  }

  get size(): number {
    return this.#live.size
  }

  newId(): number {
    return this.#nextId++
  }

  add(session: LiveSession): void {
    this.#live.set(session.id, session)
  }

  /** Moves it to those that ended; the oldest of those makes room. Without a record it is forgotten. */
  end(id: number, record: ConnectionRecord | undefined): void {
    this.#live.delete(id)
    if (record !== undefined) {
      this.#ended[this.#nextSlot] = record
      this.#nextSlot = (this.#nextSlot + 1) % this.#endedCapacity
    }
    if (this.#live.size === 0) this.#onEmpty?.()
  }

  /** Oldest first, at most so many: the list is made and written while connections wait. */
  live(limit = Number.POSITIVE_INFINITY): readonly ConnectionRecord[] {
    const records: ConnectionRecord[] = []
    for (const session of this.#live.values()) {
      if (records.length >= limit) break
      records.push(session.record())
    }
    return records
  }

  /** Newest first. */
  recent(): readonly ConnectionRecord[] {
    return [...this.#ended.slice(this.#nextSlot), ...this.#ended.slice(0, this.#nextSlot)].reverse()
  }

  stopAll(): void {
    for (const session of this.#live.values()) session.stop()
  }

  /** Resolves as soon as no connection is open. */
  async empty(): Promise<void> {
    if (this.#live.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    await promise
  }
}
