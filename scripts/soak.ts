// A day compressed: `node scripts/soak.ts --minutes 30`. Mixed load with endpoints that come and go on a node of its own
// (test/soak/soak.ts); ends with 1 if a connection failed, a count is wrong, a descriptor or memory leaked. Root.

import { parseArgs } from 'node:util'

import { runSoak } from '../test/soak/soak.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, relay: { type: 'string', default: 'native' } },
})
if (values.relay !== 'native' && values.relay !== 'stream') throw new Error('--relay is native or stream')
const result = await runSoak({
  relay: values.relay,
  seconds: Number(values.minutes) * 60,
  say: (sentence) => console.log(sentence),
})
console.log(
  `${result.connections} connections, ${result.gigabytes.toFixed(1)} GB; resident MiB over time: ` +
    result.rssKib.map((kib) => (kib / 1024).toFixed(0)).join(' '),
)
console.log(
  `after a full collection the heap holds ${(result.heapBytes / 1024).toFixed(0)} KiB more than at the start, ` +
    `the process ${(result.rssBytes / 1024).toFixed(0)} KiB`,
)
for (const problem of result.problems) console.log(`problem: ${problem}`)
process.exitCode = result.problems.length === 0 ? 0 : 1
