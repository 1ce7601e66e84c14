import test from 'ava'
import { assert, integer, property } from 'fast-check'
import { formatDuration, parseDuration } from '#agent/config/duration.ts'

const ROWS: readonly (readonly [string, number | undefined])[] = [
  ['0', 0],
  ['0s', 0],
  ['30s', 30_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  ['250ms', 250],
  ['100us', 0.1],
  ['15m0s', 900_000],
  [' 5s ', 5_000],
  ['', undefined],
  ['5', undefined],
  ['-1s', undefined],
  ['1s-', undefined],
  ['s', undefined],
  ['1d', undefined],
  ['1 s', undefined],
  ['99999999999h', undefined],
]

for (const [text, ms] of ROWS)
  test(`"${text}" is ${ms === undefined ? 'no duration' : `${ms} ms`}`, (t) => t.is(parseDuration(text), ms))

test('what is formatted reads back the same', (t) => {
  assert(property(integer({ min: 0, max: 1e9 }), (ms) => parseDuration(formatDuration(ms)) === ms))
  t.is(formatDuration(5_400_000), '1h30m')
})
