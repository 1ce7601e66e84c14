import test from 'ava'
import * as fc from 'fast-check'
import { formatDuration, parseDuration } from '#agent/model/duration.ts'

/** The examples of GEP-2257 are among them. */
const TEXTS: readonly (readonly [text: string, ms: number | undefined])[] = [
  ['0s', 0],
  ['10s', 10_000],
  ['500ms', 500],
  ['1m30s', 90_000],
  ['1h', 3_600_000],
  ['1h1m1s1ms', 3_661_001],
  ['00010s', 10_000],
  ['10s10s', 20_000],
  ['99999h', 99_999 * 3_600_000],
  ['', undefined],
  ['0', undefined],
  ['10', undefined],
  ['s', undefined],
  ['1.5s', undefined],
  ['-1s', undefined],
  ['1d', undefined],
  ['1 s', undefined],
  [' 1s', undefined],
  ['1s\n', undefined],
  ['1S', undefined],
  ['100000s', undefined],
  ['1h1m1s1ms1ms', undefined],
]
for (const [text, ms] of TEXTS)
  test(`${JSON.stringify(text)} is ${ms === undefined ? 'no duration' : `${ms} ms`}`, (t) => {
    t.is(parseDuration(text), ms)
  })

test('a duration survives being written', (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 99_999 * 3_600_000 }), (ms) => parseDuration(formatDuration(ms)) === ms),
  )
  t.is(formatDuration(90_000), '1m30s')
})
