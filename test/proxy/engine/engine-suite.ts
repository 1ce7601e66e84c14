// What every engine must do, whatever it is made of. An implementation's test calls this with a way to open one. One test at
// a time: several of them count milliseconds, and others keep the thread busy.

import type { OpenEngine } from './engine-lab.ts'
import { chaosSuite } from './suite-chaos.ts'
import { decisionSuite } from './suite-decisions.ts'
import { relaySuite } from './suite-relay.ts'

export function engineSuite(name: string, open: OpenEngine): void {
  decisionSuite(name, open)
  relaySuite(name, open)
  chaosSuite(name, open)
}
