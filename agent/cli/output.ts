// The formats that every printing command offers, and the one place that turns data into them.

import { stringify } from 'yaml'
import { renderTable, rowsAsData, type Column } from './table.ts'

export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml'] as const

export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** Something to print: `data` for programs, `text` for people. */
export interface Printed {
  /** JSON-compatible; the shape is the command's contract. */
  data(): unknown
  text(wide: boolean): string
}

/** The text of `printed` in `format`, with a line feed at the end. */
export function format(printed: Printed, outputFormat: OutputFormat): string {
  switch (outputFormat) {
    case 'json':
      return `${JSON.stringify(printed.data(), undefined, 2)}\n`
    case 'yaml':
      // Aliases would make two equal lists point at each other, which few readers of YAML expect.
      return stringify(printed.data(), { aliasDuplicateObjects: false, lineWidth: 0 })
    case 'table':
    case 'wide': {
      const text = printed.text(outputFormat === 'wide')
      return text === '' || text.endsWith('\n') ? text : `${text}\n`
    }
  }
}

/** A list of rows; `empty` is what people read when there are none. */
export function table<R>(columns: readonly Column<R>[], rows: readonly R[], empty: string): Printed {
  return {
    data: () => rowsAsData(columns, rows),
    text: (wide) => (rows.length === 0 ? empty : renderTable(columns, rows, wide)),
  }
}
