// Maglev on the source address: a client gets the same endpoint on every node, without anybody remembering it.

import type { Candidate, Pool } from '../pool.ts'
import type { Balancer } from './balancer.ts'
import { MaglevTable } from './maglev-table.ts'
import { stableHash } from './stable-hash.ts'

/** Work on a new table for each decision until it is full: about half a millisecond, a dozen times. */
const LOOKS_PER_DECISION = 65_536

const CLIENT_SEED = 3

/** Members that are ejected keep their slots; their clients go to the members of the slots that follow. */
export const maglev: Balancer = ({ pool, whole, state, client }, wanted) => {
  state.lookup ??= new MaglevLookup()
  const table = state.lookup.of(whole)
  const { slots } = table
  const { members } = table.pool
  const count = Math.min(wanted, pool.members.length)
  const candidates: Candidate[] = []
  const first = stableHash(client, CLIENT_SEED) % slots.length
  for (let i = 0; i < slots.length && candidates.length < count; i++) {
    const slot = first + i
    const member = members[slots[slot < slots.length ? slot : slot - slots.length] ?? 0]
    const found = member === undefined || table.pool === pool ? member : pool.get(member.key)
    if (found !== undefined && !candidates.includes(found)) candidates.push(found)
  }
  // In a pool that is larger than the table some members have no slot; in an old table new ones have none.
  return candidates.length > 0 ? candidates : pool.members.slice(0, count)
}

/** The table of a pool. When the pool changes, the old table answers until the new one is full. */
export class MaglevLookup {
  #table: MaglevTable | undefined
  #making: MaglevTable | undefined

  of(pool: Pool): MaglevTable {
    if (this.#table?.pool === pool) return this.#table
    if (this.#table === undefined) return (this.#table = new MaglevTable(pool).fill())
    if (this.#making?.pool !== pool) this.#making = new MaglevTable(pool)
    if (this.#making.fill(LOOKS_PER_DECISION).isFull) {
      this.#table = this.#making
      this.#making = undefined
    }
    return this.#table
  }
}
