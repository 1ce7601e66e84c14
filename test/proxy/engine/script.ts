// A direction's story for property tests of relays: what a side writes, with pauses, and when it ends.

import * as fc from 'fast-check'
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'

export interface Script {
  readonly chunks: readonly number[]
  readonly pauseEvery: number
  /** After its own bytes, or only once it has read the other's end. */
  readonly ends: 'at once' | 'after the other'
}

export const anyScript: fc.Arbitrary<Script> = fc.record({
  chunks: fc.array(fc.oneof(fc.nat(100), fc.nat(70_000), fc.nat(1_500_000)), { maxLength: 8 }),
  pauseEvery: fc.nat(3),
  ends: fc.constantFrom('at once' as const, 'after the other' as const),
})

/** Writes the script and reads everything; resolves with the digest of what was read, once both ends are through. */
export async function play(far: Socket, script: Script, seed: number): Promise<string> {
  const hash = createHash('sha256')
  const ended = new Promise<void>((resolve, reject) => {
    far.on('data', (chunk: Buffer) => void hash.update(chunk))
    far.once('end', resolve)
    far.once('error', reject)
  })
  for (const [i, chunk] of contents(script, seed).entries()) {
    far.write(chunk)
    if (script.pauseEvery > 0 && i % script.pauseEvery === 0)
      await new Promise((resolve) => setTimeout(resolve, 2))
  }
  if (script.ends === 'after the other') await ended
  far.end()
  await ended
  return hash.digest('hex')
}

/** Of what the script writes. */
export function digest(script: Script, seed: number): string {
  const hash = createHash('sha256')
  for (const chunk of contents(script, seed)) hash.update(chunk)
  return hash.digest('hex')
}

export function sizeBytes(script: Script): number {
  return script.chunks.reduce((sum, length) => sum + length, 0)
}

function contents(script: Script, seed: number): readonly Buffer[] {
  return script.chunks.map((length, i) => {
    const chunk = Buffer.alloc(length)
    for (let at = 0; at < length; at++) chunk[at] = (at * 31 + i * 7 + seed) & 0xff
    return chunk
  })
}
