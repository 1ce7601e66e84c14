import test from 'ava'
import { formatBytes } from '#agent/model/size.ts'

const CASES: readonly (readonly [number, string])[] = [
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [2_500_000_000, '2.5 GB'],
  [Number.MAX_SAFE_INTEGER, '9.0 PB'],
  [5e18, '5000 PB'],
]

for (const [bytes, want] of CASES) test(`${bytes} bytes are ${want}`, (t) => t.is(formatBytes(bytes), want))
