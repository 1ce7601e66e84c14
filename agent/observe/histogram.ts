// One histogram: counts by upper bound, sum and count.

export interface Histogram {
  /** Needs no `this`. */
  readonly observe: (value: number) => void
  /** The sample lines of the text exposition format; `labels` without braces. */
  lines(name: string, labels: string): string[]
}

/** `bounds` are inclusive upper bounds in ascending order; the bucket above the last is implied. */
export function histogram(bounds: readonly number[]): Histogram {
  const counts = Array<number>(bounds.length).fill(0)
  let sum = 0
  let total = 0
  return {
    observe(value) {
      const index = bounds.findIndex((bound) => value <= bound)
      if (index >= 0) counts[index] = (counts[index] ?? 0) + 1
      sum += value
      total += 1
    },
    lines(name, labels) {
      const prefix = labels === '' ? '' : `${labels},`
      const own = labels === '' ? '' : `{${labels}}`
      const lines: string[] = []
      let below = 0
      for (const [i, bound] of bounds.entries()) {
        below += counts[i] ?? 0
        lines.push(`${name}_bucket{${prefix}le="${bound}"} ${below}`)
      }
      lines.push(`${name}_bucket{${prefix}le="+Inf"} ${total}`)
      lines.push(`${name}_sum${own} ${sum}`, `${name}_count${own} ${total}`)
      return lines
    },
  }
}
