// Reads numbers and runs of bytes in network order. A read beyond the end answers zeros and is remembered, so that a
// parser checks once at the end instead of after each field, and can never read out of bounds in between.

export interface ByteReader {
  uint8(): number
  uint16(): number
  /** The next `count` bytes, not copied; fewer if there are not so many. */
  bytes(count: number): Uint8Array
  left(): number
  /** Something was read that was not there. */
  overrun(): boolean
}

export function byteReader(source: Uint8Array): ByteReader {
  let at = 0
  let beyond = false

  function take(count: number): Uint8Array {
    const taken = source.subarray(at, at + count)
    if (taken.length < count) beyond = true
    at += taken.length
    return taken
  }

  return {
    uint8: () => take(1)[0] ?? 0,
    uint16() {
      const [high = 0, low = 0] = take(2)
      return high * 256 + low
    },
    bytes: take,
    left: () => source.length - at,
    overrun: () => beyond,
  }
}
