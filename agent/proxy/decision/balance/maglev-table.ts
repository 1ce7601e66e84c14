// Maglev's lookup table (Eisenbud et al., NSDI 2016, section 3.4), with Envoy's weights. Every member has its own
// permutation of the slots, made from its address alone, and takes slots in turn; so all nodes with the same endpoints
// have the same table, and a member that leaves hardly moves the others.

import type { Pool } from '../pool.ts'
import { stableHash } from './stable-hash.ts'

/** The paper's size, a prime: with 100 slots for each member a change moves at most about 1% more than it must. */
const MAX_SLOTS = 65_537
const SLOTS_PER_MEMBER = 100

const OFFSET_SEED = 1
const SKIP_SEED = 2

/** Index of a member for each slot. */
export function maglevTable(pool: Pool): Uint32Array {
  const slots = slotsFor(pool.members.length)
  const table = new Uint32Array(slots)
  const rows = permutations(pool, slots)
  if (rows.length <= 1) return table.fill(rows[0]?.index ?? 0)
  const heaviest = Math.max(...rows.map((row) => row.weight))
  const taken = new Uint8Array(slots)
  for (let round = 1, filled = 0; ; round++)
    for (const row of rows) {
      // Of weight w, a member takes a slot in w of as many rounds as the heaviest weighs.
      if (round * row.weight < row.dueAt) continue
      row.dueAt += heaviest
      while (taken[row.slot] === 1) row.slot = step(row, slots)
      taken[row.slot] = 1
      table[row.slot] = row.index
      if (++filled === slots) return table
      row.slot = step(row, slots)
    }
}

interface Row {
  readonly index: number
  readonly weight: number
  readonly skip: number
  /** Next slot of its permutation. */
  slot: number
  dueAt: number
}

/** In the order of the addresses, so that the order of the pool does not matter. */
function permutations({ members, weights }: Pool, slots: number): readonly Row[] {
  return members
    .map((member, index) => ({ key: member.key, index }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, index }) => ({
      index,
      weight: weights?.[index] ?? 1,
      skip: (stableHash(key, SKIP_SEED) % (slots - 1)) + 1,
      slot: stableHash(key, OFFSET_SEED) % slots,
      dueAt: 0,
    }))
}

function step({ slot, skip }: Row, slots: number): number {
  const next = slot + skip
  return next >= slots ? next - slots : next
}

/** The smallest prime with enough slots for each member, at most MAX_SLOTS. */
export function slotsFor(members: number): number {
  const wanted = Math.max(SLOTS_PER_MEMBER * members, SLOTS_PER_MEMBER)
  if (wanted >= MAX_SLOTS) return MAX_SLOTS
  let slots = wanted
  while (!isPrime(slots)) slots++
  return slots
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return number > 1
}
