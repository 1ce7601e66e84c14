// Text in pieces to JSON documents, one a line. A line that grows beyond the limit, or is not JSON, is an error: after
// it nothing on the channel can be believed.

export type JsonLine =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'broken'; readonly because: string }

/** A view of 10,000 Services with 10 endpoints each is some 8 MB. */
const LINE_LIMIT_CHARACTERS = 256 * 1024 * 1024

export class JsonLines {
  #pieces: string[] = []
  #length = 0

  /** Pieces are gathered and joined once a line, so that a long line costs its length, not its square. */
  push(text: string): readonly JsonLine[] {
    const lines: JsonLine[] = []
    let from = 0
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
      const line = this.#pieces.join('') + text.slice(from, at)
      this.#pieces = []
      this.#length = 0
      from = at + 1
      if (line !== '') lines.push(parse(line))
    }
    if (from === text.length) return lines
    this.#pieces.push(text.slice(from))
    this.#length += text.length - from
    if (this.#length > LINE_LIMIT_CHARACTERS)
      lines.push({ kind: 'broken', because: `a line is longer than ${LINE_LIMIT_CHARACTERS} characters` })
    return lines
  }
}

function parse(line: string): JsonLine {
  try {
    return { kind: 'json', value: JSON.parse(line) as unknown }
  } catch {
    return { kind: 'broken', because: `a line is not JSON: ${line.slice(0, 100)}` }
  }
}
