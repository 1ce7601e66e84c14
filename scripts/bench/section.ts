// What a part of the benchmarks hands in: its text for the page, and the bars that it was held to.

export interface Section {
  readonly text: string
  readonly bars: readonly Bar[]
}

export interface Bar {
  readonly what: string
  readonly measured: number
  readonly atMost: number
  readonly unit: string
  /** After the point; 1 if not given. */
  readonly digits?: number
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
