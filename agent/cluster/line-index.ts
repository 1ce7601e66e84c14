// Lines of a text by offset, counted once however many are asked for.

export class LineIndex {
  readonly #text: string
  #ends: number[] | undefined

  constructor(text: string) {
    this.#text = text
  }

  /** 1-based line on which the character at the offset stands. */
  lineAt(offset: number): number {
    this.#ends ??= lineEnds(this.#text)
    let low = 0
    let high = this.#ends.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#ends[middle] ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low + 1
  }
}

function lineEnds(text: string): number[] {
  const ends: number[] = []
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) ends.push(at)
  return ends
}
