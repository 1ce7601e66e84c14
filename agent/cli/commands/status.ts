// shunt status: what runs on this node, how fresh it is, and what is degraded and why.

import { ShuntError } from '../../model/errors.ts'
import type { ProxyStatus } from '../../proxy/admin-shapes.ts'
import type { AgentStatus } from '../../sync/status.ts'
import type { AdminClient } from '../admin-client.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format } from '../output.ts'
import { RUN_DIR_OPTION, runPaths } from '../run-paths.ts'
import { isReady, printedStatus, type Answered } from '../status-text.ts'

export const status: Command = {
  spec: {
    name: 'status',
    summary: 'what runs, mode, age of the last sync, steering, problems, what is degraded and why',
    details:
      'Exits with 3 unless the agent runs and is ready; a proxy is asked for only when something is steered.',
    arguments: [],
    options: [RUN_DIR_OPTION],
    prints: true,
    examples: [{ line: 'shunt status', explains: 'the first thing to look at' }],
  },
  async run(ports, input) {
    const paths = await runPaths(ports, input)
    const [agent, proxy] = await Promise.all([
      ask<AgentStatus>(ports.agent(paths)),
      ask<ProxyStatus>(ports.proxy(paths)),
    ])
    const answered = { agent, proxy, runDir: paths.runDir, nowMs: ports.clock.wallMs() }
    ports.stdout(format(printedStatus(answered), input.outputFormat()))
    return isReady(answered) ? EXIT.ok : EXIT.notReady
  },
}

/** A process that is not there is an answer here, not an error. */
async function ask<T>(client: AdminClient): Promise<Answered<T>> {
  try {
    return { kind: 'running', status: (await client.get('/status')) as T }
  } catch (error) {
    if (!(error instanceof ShuntError) || (error.code !== 'PEER_UNREACHABLE' && error.code !== 'NOT_READY'))
      throw error
    return { kind: error.code === 'NOT_READY' ? 'starting' : 'absent', because: error.message }
  }
}
