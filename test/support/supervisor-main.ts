// The supervisor with two children that only write down what happens to them.
//   node supervisor-main.ts FILE [terminal]

import { systemClock } from '#agent/kernel/clock.ts'
import { runSupervisor } from '#agent/supervisor.ts'
import { quietLog } from './quiet-log.ts'

const [file = '', terminal = ''] = process.argv.slice(2)
process.exitCode = await runSupervisor({
  program: new URL('supervised-child.ts', import.meta.url).pathname,
  children: [
    { name: 'agent', args: [file, 'agent'] },
    { name: 'proxy', args: [file, 'proxy'] },
  ],
  atTerminal: terminal !== '',
  clock: systemClock,
  log: quietLog(),
})
