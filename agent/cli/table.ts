// Columns as data: one list of columns per kind of row drives the table, the wide table, JSON and YAML, so that the
// four can never disagree about what a row says.

/** What a cell holds, as JSON would print it. */
export type Cell = string | number | boolean | null | readonly string[]

export interface Column<Row> {
  /** The key in JSON and YAML; upper-cased it is the header. */
  readonly name: string
  /** The table's header, where the upper-cased name would be clumsy. */
  readonly header?: string
  /** The raw value: numbers stay numbers, lists stay lists. */
  value(row: Row): Cell
  /** How the table shows it, where that differs from the value itself. */
  text?(row: Row): string
  /** Shown by `-o wide` alone (and always by JSON and YAML). */
  readonly wide?: true
  readonly align?: 'right'
  /** In JSON and YAML alone: the table says it in another column. */
  readonly only?: 'data'
}

export type Row = Readonly<Record<string, Cell>>

/** Aligned text with a header line; columns are two spaces apart and nothing is cut off. */
export function renderTable<R>(columns: readonly Column<R>[], rows: readonly R[], wide: boolean): string {
  const shown = columns.filter((column) => column.only !== 'data' && (wide || column.wide !== true))
  const lines = [
    shown.map((column) => column.header ?? headerOf(column.name)),
    ...rows.map((row) => shown.map((c) => cellText(c, row))),
  ]
  const widths = shown.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, i) =>
          shown[i]?.align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The rows as plain data, with every column, wide ones too. */
export function rowsAsData<R>(columns: readonly Column<R>[], rows: readonly R[]): readonly Row[] {
  return rows.map((row) => Object.fromEntries(columns.map((column) => [column.name, column.value(row)])))
}

/** `originalDestination` becomes `ORIGINAL DESTINATION`. */
function headerOf(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toUpperCase()
}

function cellText<R>(column: Column<R>, row: R): string {
  const text = column.text === undefined ? plain(column.value(row)) : column.text(row)
  return text === '' ? '-' : text
}

function plain(cell: Cell): string {
  if (cell === null) return ''
  return typeof cell === 'object' ? cell.join(',') : String(cell)
}
