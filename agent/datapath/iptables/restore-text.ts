// FamilyChange -> the text for `iptables-restore --noflush`: all tables in one text, which the tool applies table by
// table, each at once. In each table: declare (which also empties), unhook, hook, fill, delete.

import type { FamilyChange } from './diff.ts'
import { TABLES, type TableName } from './names.ts'
import type { ChainKey } from './state.ts'

/** '' if there is nothing to do. */
export function restoreText(change: FamilyChange): string {
  return [...restorePieces(change)].join('')
}

const PIECE_CHARS = 64 * 1024

/** The same in pieces of moderate size, made as they are drawn. */
export function* restorePieces(change: FamilyChange): Generator<string> {
  let piece: string[] = []
  let length = 0
  for (const table of tablesOf(change))
    for (const part of tableParts(table, change)) {
      piece.push(part)
      length += part.length
      if (length < PIECE_CHARS) continue
      yield piece.join('')
      piece = []
      length = 0
    }
  if (length > 0) yield piece.join('')
}

/**
 * mangle marks packets, and nat and filter must know what the mark means as long as it does: so it comes last where it
 * begins to, and first where it ceases to.
 */
function tablesOf({ drop }: FamilyChange): readonly TableName[] {
  return drop.some((key) => tableOf(key) === 'mangle') ? TABLES.toReversed() : TABLES
}

function* tableParts(table: TableName, change: FamilyChange): Generator<string> {
  const refill = change.refill.filter(({ keys: [key] }) => key !== undefined && tableOf(key) === table)
  const drop = change.drop.filter((key) => tableOf(key) === table)
  const insert = change.insert.filter((rule) => rule.table === table)
  const remove = change.remove.filter((rule) => rule.table === table)
  const edits = change.edits.filter(({ key }) => tableOf(key) === table)
  if (refill.length + edits.length + drop.length + insert.length + remove.length === 0) return
  yield `*${table}\n`
  for (const { keys } of refill) for (const key of keys) yield declaration(key)
  for (const key of drop) yield declaration(key)
  for (const { chain, spec } of remove) yield `-D ${chain} ${spec}\n`
  // Each goes to the top, so the last one first.
  for (const { chain, spec } of insert.toReversed()) yield `-I ${chain} ${spec}\n`
  for (const { lines } of refill) yield lines()
  for (const { key, remove: gone, insert: come } of edits) {
    const rest = `-A ${chainOf(key)}`.length
    for (const line of gone) yield `-D ${chainOf(key)}${line.slice(rest)}\n`
    for (const { at, line } of come) yield `-I ${chainOf(key)} ${at}${line.slice(rest)}\n`
  }
  for (const key of drop) yield `-X ${chainOf(key)}\n`
  yield 'COMMIT\n'
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
