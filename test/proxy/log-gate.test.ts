import test from 'ava'
import { LogGate } from '#agent/proxy/log-gate.ts'
import { manualClock } from '../support/manual-clock.ts'

test('one line per kind and interval, with the number left out', async (t) => {
  const clock = manualClock()
  const gate = new LogGate(clock, 1_000)
  const lines: string[] = []
  const pass = (kind: string): void => gate.pass(kind, (suppressed) => lines.push(`${kind} ${suppressed}`))
  for (let i = 0; i < 5; i++) pass('direct')
  pass('loop')
  await clock.advance(1_000)
  pass('direct')
  t.deepEqual(lines, ['direct 0', 'loop 0', 'direct 4'])
})
