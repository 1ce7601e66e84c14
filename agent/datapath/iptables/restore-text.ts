// FamilyChange -> the text for `iptables-restore --noflush`: all tables in one text, which the tool applies table by
// table, each at once. In each table: declare (which also empties), unhook, hook, fill, delete.

import type { FamilyChange } from './diff.ts'
import { TABLES, type TableName } from './names.ts'
import type { ChainKey } from './state.ts'

/** '' if there is nothing to do. */
export function restoreText(change: FamilyChange): string {
  return TABLES.map((table) => tableText(table, change)).join('')
}

function tableText(table: TableName, change: FamilyChange): string {
  const refill = [...change.refill].filter(([key]) => tableOf(key) === table)
  const drop = change.drop.filter((key) => tableOf(key) === table)
  const insert = change.insert.filter((rule) => rule.table === table)
  const remove = change.remove.filter((rule) => rule.table === table)
  if (refill.length + drop.length + insert.length + remove.length === 0) return ''
  const parts = [`*${table}\n`]
  for (const [key] of refill) parts.push(declaration(key))
  for (const key of drop) parts.push(declaration(key))
  for (const { chain, spec } of remove) parts.push(`-D ${chain} ${spec}\n`)
  // Each goes to the top, so the last one first.
  for (const { chain, spec } of insert.toReversed()) parts.push(`-I ${chain} ${spec}\n`)
  for (const [, lines] of refill) parts.push(lines)
  for (const key of drop) parts.push(`-X ${chainOf(key)}\n`)
  parts.push('COMMIT\n')
  return parts.join('')
}

function declaration(key: ChainKey): string {
  return `:${chainOf(key)} - [0:0]\n`
}

function tableOf(key: ChainKey): string {
  return key.slice(0, key.indexOf(' '))
}

function chainOf(key: ChainKey): string {
  return key.slice(key.indexOf(' ') + 1)
}
