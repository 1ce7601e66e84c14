// The mixed load of scripts/soak.ts for half a minute.

import test from 'ava'

import { runSoak } from '../soak/soak.ts'

test('half a minute of mixed load with endpoints that come and go leaves nothing behind, and all counts agree', async (t) => {
  t.timeout(180_000)
  const result = await runSoak({ relay: 'native', seconds: 30, say: (sentence) => t.log(sentence) })
  t.deepEqual(result.problems, [])
  t.true(result.connections > 5_000, `${result.connections} connections`)
})
