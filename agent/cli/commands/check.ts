// shunt check: would Shunt work on this node, and what of others is in its way.

import type { CheckResult } from '../check/result.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, type Printed } from '../output.ts'
import { openNode, VARIANT_OPTION } from '../node-settings.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import { rowsAsData, renderTable, type Column } from '../table.ts'

export const check: Command = {
  spec: {
    name: 'check',
    summary: 'preflight: kernel features, programs, settings, other proxies, conflicting marks',
    details: 'Changes nothing and needs no agent. Exits with 1 if something keeps Shunt from working.',
    arguments: [],
    options: [VARIANT_OPTION, RUN_DIR_OPTION],
    prints: true,
    examples: [{ line: 'shunt check', explains: 'before the first start, or when packets vanish' }],
  },
  async run(ports, input) {
    const node = await openNode(ports, input)
    const results = await node.check()
    ports.stdout(format(printedResults(results), input.outputFormat()))
    return results.some((one) => one.level === 'bad') ? EXIT.failed : EXIT.ok
  },
}

const COLUMNS: readonly Column<CheckResult>[] = [
  { name: 'level', value: (one) => one.level },
  { name: 'name', value: (one) => one.name },
  { name: 'found', value: (one) => one.found },
  { name: 'hint', value: (one) => one.hint },
]

function printedResults(results: readonly CheckResult[]): Printed {
  const count = (level: CheckResult['level']): number => results.filter((one) => one.level === level).length
  // Hints are as long as a line: below the table's line, not in a column.
  const shown = COLUMNS.filter((column) => column.name !== 'hint')
  return {
    data: () => rowsAsData(COLUMNS, results),
    text: () => {
      const [head = '', ...lines] = renderTable(shown, results, true).split('\n')
      const hinted = lines.map((line, i) =>
        results[i]?.hint ? `${line}\n        hint: ${results[i].hint}` : line,
      )
      return [head, ...hinted, `${count('bad')} bad, ${count('warn')} warnings`].join('\n')
    },
  }
}
