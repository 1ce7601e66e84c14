// A child for tests of the supervisor: writes what happens to it into a file, one line each.
//   node supervised-child.ts FILE NAME

import { appendFileSync } from 'node:fs'
import { endWithParent } from '#agent/supervisor.ts'

const [file = '', name = ''] = process.argv.slice(2)
const tell = (what: string): void => appendFileSync(file, `${name} ${what} ${process.pid}\n`)

tell('started')
endWithParent()
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
