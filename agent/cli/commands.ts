// Every command, in the order in which --help and docs/commands.md list them.

import type { Command } from './command.ts'
import { check } from './commands/check.ts'
import { cleanup } from './commands/cleanup.ts'
import { connections } from './commands/connections.ts'
import { diff } from './commands/diff.ts'
import { endpoints } from './commands/endpoints.ts'
import { plan } from './commands/plan.ts'
import { agent, proxy, run } from './commands/processes.ts'
import { services } from './commands/services.ts'
import { status } from './commands/status.ts'
import { trace } from './commands/trace.ts'
import { validate } from './commands/validate.ts'

export const COMMANDS: readonly Command[] = [
  run,
  agent,
  proxy,
  status,
  services,
  endpoints,
  trace,
  connections,
  plan,
  diff,
  check,
  validate,
  cleanup,
]
