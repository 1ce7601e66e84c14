// Maglev's lookup table (Eisenbud et al., NSDI 2016, section 3.4), with Envoy's weights. Every member has its own
// permutation of the slots, made from its address alone, and takes slots in turn; so all nodes with the same endpoints
// have the same table, and a member that leaves hardly moves the others.

import type { Pool } from '../pool.ts'
import { stableHash } from './stable-hash.ts'

/**
 * The paper's size and Envoy's, a prime. With 100 slots for each member a change moves about 1% more than it must. Small
 * pools have no smaller table: the step from one size to another would move every client.
 */
const SLOTS = 65_537
/** Members beyond have no slot. */
const MAX_MEMBERS = 65_536

const OFFSET_SEED = 1
const SKIP_SEED = 2

/** A table that is filled bit by bit: a large one takes milliseconds, in which no connection would be decided. */
export class MaglevTable {
  readonly pool: Pool
  /** Index of a member for each slot. */
  readonly slots: Uint16Array
  readonly #taken: Uint8Array
  readonly #rows: readonly Row[]
  readonly #heaviest: number
  #filled = 0
  #round = 1
  /** Which row is next in the round. */
  #next = 0

  constructor(pool: Pool) {
    this.pool = pool
    this.slots = new Uint16Array(SLOTS)
    this.#taken = new Uint8Array(SLOTS)
    this.#rows = permutations(pool)
    this.#heaviest = this.#rows.reduce((most, row) => Math.max(most, row.weight), 0)
  }

  get isFull(): boolean {
    return this.#filled === SLOTS || this.#rows.length === 0
  }

  /** Goes on for about so many looks at a slot, or to the end. The last slots take the most, since few are free. */
  fill(looks = Infinity): this {
    let left = looks
    while (this.#filled < SLOTS && left > 0) {
      const row = this.#rows[this.#next]
      if (row === undefined) {
        if (this.#rows.length === 0) break
        this.#round++
        this.#next = 0
        continue
      }
      this.#next++
      // Of weight w, a member takes a slot in w of as many rounds as the heaviest weighs.
      left -= this.#round * row.weight >= row.dueAt ? this.#take(row) : 1
    }
    return this
  }

  /** Returns how many slots it looked at. */
  #take(row: Row): number {
    let looks = 1
    row.dueAt += this.#heaviest
    for (; this.#taken[row.slot] === 1; looks++) row.slot = step(row)
    this.#taken[row.slot] = 1
    this.slots[row.slot] = row.index
    this.#filled++
    return looks
  }
}

interface Row {
  readonly index: number
  readonly weight: number
  readonly skip: number
  /** Where it is in its permutation. */
  slot: number
  dueAt: number
}

/** In the order of the addresses, so that the order of the pool does not matter. */
function permutations({ members, weights }: Pool): readonly Row[] {
  return members
    .slice(0, MAX_MEMBERS)
    .map((member, index) => ({ key: member.key, index }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, index }) => ({
      index,
      weight: weights?.[index] ?? 1,
      skip: (stableHash(key, SKIP_SEED) % (SLOTS - 1)) + 1,
      slot: stableHash(key, OFFSET_SEED) % SLOTS,
      dueAt: 0,
    }))
}

function step({ slot, skip }: Row): number {
  const next = slot + skip
  return next >= SLOTS ? next - SLOTS : next
}
