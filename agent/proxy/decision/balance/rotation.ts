// A schedule by earliest deadline first, as Envoy's: a member of weight w comes again after 1/w of virtual time. Over any
// whole number of such times each member comes exactly as often as its weight says. A heap, so that a turn costs the
// logarithm of the pool.

import type { Random } from '../../../model/clock.ts'
import { Pool } from '../pool.ts'

/** Below 1 by more than rounding: a turn at the very end of a round would slip into the next. */
const LATEST_PHASE = 1 - 2 ** -20

export class Rotation {
  #pool = new Pool([])
  /** Of the member that came last. */
  #nowAt = 0
  /** By member: its deadline is `base + (turns + phase) / weight`, computed anew each time so that no error adds up. */
  #base = new Float64Array(0)
  #phase = new Float64Array(0)
  #turns = new Float64Array(0)
  #deadline = new Float64Array(0)
  /** Indexes of members, the earliest deadline at the root. */
  #heap = new Uint32Array(0)

  /**
   * Goes on with another pool. Who was there keeps its place, new members come at a random moment within their first
   * turn: proxies of different nodes, and of different starts, are not in step.
   */
  follow(pool: Pool, draw: Random): void {
    if (pool === this.#pool) return
    const size = pool.members.length
    const base = new Float64Array(size).fill(this.#nowAt)
    const phase = new Float64Array(size)
    const deadline = new Float64Array(size)
    for (const [index, { key }] of pool.members.entries()) {
      const weight = pool.weight(index)
      const old = this.#pool.indexOf(key)
      // What was left of its turn, in parts of a turn, so that a new weight counts at once.
      phase[index] =
        old === undefined
          ? draw() * LATEST_PHASE
          : Math.max(0, (this.#deadline[old] ?? 0) - this.#nowAt) * this.#pool.weight(old)
      deadline[index] = this.#nowAt + (phase[index] ?? 0) / weight
    }
    this.#pool = pool
    this.#base = base
    this.#phase = phase
    this.#turns = new Float64Array(size)
    this.#deadline = deadline
    this.#heap = Uint32Array.from(deadline.keys())
    for (let at = (size >>> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  /** Index of the member whose turn it is; its next one is a whole turn later. */
  next(): number {
    const index = this.#begin()
    const turns = (this.#turns[index] ?? 0) + 1
    this.#turns[index] = turns
    this.#deadline[index] =
      (this.#base[index] ?? 0) + (turns + (this.#phase[index] ?? 0)) / this.#pool.weight(index)
    this.#sink(0)
    return index
  }

  /** The same, but its next turn is so much virtual time later. */
  nextAfter(interval: (index: number) => number): number {
    const index = this.#begin()
    this.#deadline[index] = this.#nowAt + interval(index)
    this.#sink(0)
    return index
  }

  #begin(): number {
    const index = this.#heap[0] ?? 0
    this.#nowAt = this.#deadline[index] ?? 0
    return index
  }

  /** Restores the order of the heap below a place whose deadline grew. */
  #sink(from: number): void {
    const heap = this.#heap
    const moving = heap[from] ?? 0
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1] ?? 0, heap[child] ?? 0)) child++
      if (!this.#isBefore(heap[child] ?? 0, moving)) break
      heap[at] = heap[child] ?? 0
      at = child
    }
    heap[at] = moving
  }

  #isBefore(a: number, b: number): boolean {
    const difference = (this.#deadline[a] ?? 0) - (this.#deadline[b] ?? 0)
    return difference < 0 || (difference === 0 && a < b)
  }
}
