// What every engine must do, whatever it is made of. An implementation's test calls this with a way to open one.

import type { OpenEngine } from './engine-lab.ts'
import { decisionSuite } from './suite-decisions.ts'
import { relaySuite } from './suite-relay.ts'

export function engineSuite(name: string, open: OpenEngine): void {
  decisionSuite(name, open)
  relaySuite(name, open)
}
