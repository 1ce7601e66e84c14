// A child for tests of the supervisor: writes what happens to it into a file, one line each.
// Where FILE.next is, a proxy is to take over: `take` says that it did, `fail` ends, `wait` does neither.
//   node supervised-child.ts FILE NAME

import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { endWithParent, tellTookOver } from '#agent/supervisor.ts'

const [file = '', name = ''] = process.argv.slice(2)
const tell = (what: string): void => appendFileSync(file, `${name} ${what} ${process.pid}\n`)

const next = name === 'proxy' && existsSync(`${file}.next`) ? readFileSync(`${file}.next`, 'utf8') : ''
tell('started')
endWithParent()
if (next === 'fail') process.exit(1)
if (next === 'take') {
  tellTookOver()
  tell('took')
}
const alive = setInterval(() => {}, 1_000)
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    tell(signal)
    // Late enough for a second signal to be seen, if there were one.
    setTimeout(() => {
      tell('ended')
      clearInterval(alive)
      process.exit(0)
    }, 100)
  })
