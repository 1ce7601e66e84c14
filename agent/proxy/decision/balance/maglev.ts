// Maglev on the source address: a client gets the same endpoint on every node, without anybody remembering it.

import type { Candidate, Pool } from '../pool.ts'
import type { Balancer } from './balancer.ts'
import { maglevTable } from './maglev-table.ts'
import { stableHash } from './stable-hash.ts'

/** A pool is a new object when it changes, so its table lives and goes with it. */
const tables = new WeakMap<Pool, Uint32Array>()

const CLIENT_SEED = 3

/** Members that are ejected keep their slots; their clients go to the members of the slots that follow. */
export const maglev: Balancer = ({ pool, whole, client }, wanted) => {
  const table = tableOf(whole)
  const count = Math.min(wanted, pool.members.length)
  const candidates: Candidate[] = []
  const first = stableHash(client, CLIENT_SEED) % table.length
  for (let i = 0; i < table.length && candidates.length < count; i++) {
    const slot = first + i
    const member = whole.members[table[slot < table.length ? slot : slot - table.length] ?? 0]
    if (member === undefined || candidates.includes(member)) continue
    if (pool === whole || pool.has(member.key)) candidates.push(member)
  }
  // In a pool that is larger than the table some members have no slot.
  return candidates.length > 0 ? candidates : pool.members.slice(0, count)
}

function tableOf(pool: Pool): Uint32Array {
  let table = tables.get(pool)
  if (table === undefined) {
    table = maglevTable(pool)
    tables.set(pool, table)
  }
  return table
}
