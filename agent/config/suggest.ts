// "Did you mean": the known word nearest to a misspelt one.

/** `; did you mean "x"?`, or '' if nothing is near. */
export function closest(word: string, known: readonly string[]): string {
  let best = { word: '', distance: 1 + Math.floor(word.length / 3) }
  for (const each of known) {
    const distance = editDistance(word.toLowerCase(), each.toLowerCase())
    if (distance < best.distance) best = { word: each, distance }
  }
  return best.word === '' ? '' : `; did you mean "${best.word}"?`
}

/** Levenshtein's distance; words are short. */
function editDistance(a: string, b: string): number {
  // A field of a hostile file may be long; nothing known is.
  if (Math.abs(a.length - b.length) > 10) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      )
    row = next
  }
  return row[b.length] ?? Infinity
}
