// Structural equality of plain data. Values here are replaced, never mutated, so equal content may stand in for a new
// object and keeps its identity; whatever is cached by identity then stays valid.

/** True if both are the same plain data: primitives, arrays, objects without methods. Maps and Sets are not looked into. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && equalArrays(a, b)
  return !Array.isArray(b) && equalObjects(a as Plain, b as Plain)
}

type Plain = Readonly<Record<string, unknown>>

function equalArrays(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!equal(a[i], b[i])) return false
  return true
}

function equalObjects(a: Plain, b: Plain): boolean {
  if (a instanceof Map || a instanceof Set || b instanceof Map || b instanceof Set) return false
  let left = 0
  for (const key in a) {
    left++
    if (!equal(a[key], b[key]) || (a[key] === undefined && !(key in b))) return false
  }
  for (const _ in b) left--
  return left === 0
}
