// A hash of short text that is the same on every node and in every version: FNV-1a over the characters, then the
// finalizer of MurmurHash3, which makes every bit of the result depend on every bit of the text. Not for secrets.

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** 32 bits, unsigned. Different seeds give independent hashes. */
export function stableHash(text: string, seed: number): number {
  let hash = FNV_OFFSET ^ mix(seed)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return mix(hash)
}

function mix(bits: number): number {
  let hash = bits ^ (bits >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
