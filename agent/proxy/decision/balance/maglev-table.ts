// Maglev's lookup table (Eisenbud et al., NSDI 2016, section 3.4), with Envoy's weights. Every member has its own
// permutation of the slots, made from its address alone, and takes slots in turn; so all nodes with the same endpoints
// have the same table, and a member that leaves hardly moves the others.

import type { Pool } from '../pool.ts'
import { stableHash } from './stable-hash.ts'

/** The paper's size, a prime: with 100 slots for each member a change moves at most about 1% more than it must. */
const MAX_SLOTS = 65_537
const SLOTS_PER_MEMBER = 100
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
    const size = slotsFor(pool.members.length)
    this.pool = pool
    this.slots = new Uint16Array(size)
    this.#taken = new Uint8Array(size)
    this.#rows = permutations(pool, size)
    this.#heaviest = this.#rows.reduce((most, row) => Math.max(most, row.weight), 0)
  }

  get isFull(): boolean {
    return this.#filled === this.slots.length || this.#rows.length === 0
  }

  /** Fills so many slots more, or all that are left. */
  fill(count = Infinity): this {
    const until = Math.min(this.slots.length, this.#filled + count)
    while (this.#filled < until) {
      const row = this.#rows[this.#next]
      if (row === undefined) {
        if (this.#rows.length === 0) break
        this.#round++
        this.#next = 0
        continue
      }
      this.#next++
      // Of weight w, a member takes a slot in w of as many rounds as the heaviest weighs.
      if (this.#round * row.weight >= row.dueAt) this.#take(row)
    }
    return this
  }

  #take(row: Row): void {
    row.dueAt += this.#heaviest
    while (this.#taken[row.slot] === 1) row.slot = step(row, this.slots.length)
    this.#taken[row.slot] = 1
    this.slots[row.slot] = row.index
    this.#filled++
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
function permutations({ members, weights }: Pool, size: number): readonly Row[] {
  return members
    .slice(0, MAX_MEMBERS)
    .map((member, index) => ({ key: member.key, index }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, index }) => ({
      index,
      weight: weights?.[index] ?? 1,
      skip: (stableHash(key, SKIP_SEED) % (size - 1)) + 1,
      slot: stableHash(key, OFFSET_SEED) % size,
      dueAt: 0,
    }))
}

function step({ slot, skip }: Row, size: number): number {
  const next = slot + skip
  return next >= size ? next - size : next
}

/** The smallest prime with enough slots for each member, at most MAX_SLOTS. */
export function slotsFor(members: number): number {
  const wanted = SLOTS_PER_MEMBER * Math.max(1, members)
  if (wanted >= MAX_SLOTS) return MAX_SLOTS
  let size = wanted
  while (!isPrime(size)) size++
  return size
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return number > 1
}
