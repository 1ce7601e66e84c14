// Texts that outlive the document they came from. An engine may represent a part of a text as a view into the whole, so
// that one kept name would hold a file of megabytes in memory; and node, zone and port names repeat in every endpoint.

/** The same text as a value of its own, shared between equal texts. */
export function kept(text: string): string {
  const known = pool.get(text)
  if (known !== undefined) return known
  const copy = Buffer.from(text, 'utf16le').toString('utf16le')
  if (pool.size >= MOST_POOLED) pool.clear()
  pool.set(copy, copy)
  return copy
}

// Bounded, and only a cache: what it forgets is copied again.
const MOST_POOLED = 4096
const pool = new Map<string, string>()
