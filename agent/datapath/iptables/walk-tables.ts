// What was read of iptables-save -> the tables that the walk goes through.

import type { ReadRules } from './state.ts'
import type { WalkTableName, WalkTables } from './walk.ts'

/** Of the chains of others only our own rules are in it: the walk cannot say what else they do. */
export function walkTables(rules: ReadRules): WalkTables {
  const tables: Record<WalkTableName, Map<string, string[]>> = {
    mangle: new Map(),
    nat: new Map(),
    filter: new Map(),
  }
  for (const [key, lines] of rules.chains) {
    const [table, chain] = key.split(' ') as [WalkTableName, string]
    tables[table].set(
      chain,
      lines.split('\n').filter((line) => line !== ''),
    )
  }
  for (const { table, chain, spec } of rules.base) {
    const known = tables[table].get(chain)
    if (known === undefined) tables[table].set(chain, [spec])
    else known.push(spec)
  }
  return tables
}
