// shunt cleanup: takes away what an agent left on the node. Needs no agent, and refuses to work against a running one.

import type { Paths } from '../../config/paths.ts'
import { messageOf, ShuntError } from '../../model/errors.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { openNode, VARIANT_OPTION } from '../node-settings.ts'
import { RUN_DIR_OPTION, runPaths } from '../run-paths.ts'
import type { Ports } from '../ports.ts'

/** Flushing the rules of 10,000 Services takes iptables-nft most of a minute. */
const REMOVE_TIMEOUT_MS = 120_000

export const cleanup: Command = {
  spec: {
    name: 'cleanup',
    summary: 'remove what Shunt made on this node: rules, sets, routes, BPF objects, run files',
    details:
      'Service addresses stop working on this node unless another proxy serves them. Chains that kubelet owns stay. ' +
      'Safe to repeat.',
    arguments: [],
    options: [
      {
        flags: '--all',
        description: 'also what kube-proxy left: its nftables table, IPVS interface and ipsets',
      },
      { flags: '--dry-run', description: 'say what would be removed, and remove nothing' },
      {
        flags: '--force',
        description: 'even while an agent or a proxy answers; a running agent makes it all again',
      },
      VARIANT_OPTION,
      RUN_DIR_OPTION,
    ],
    prints: false,
    examples: [
      { line: 'shunt cleanup --dry-run', explains: 'what is there' },
      { line: 'shunt cleanup --run-dir /tmp/lab', explains: 'after an agent with that --run-dir' },
    ],
  },
  async run(ports, input) {
    const paths = await runPaths(ports, input)
    const dryRun = input.flag('dryRun')
    if (!dryRun && !input.flag('force')) await refuseIfRunning(ports, paths)
    const node = await openNode(ports, input)
    const remains = await node.remains(input.flag('all'))
    if (remains.length === 0) ports.stdout('nothing to remove\n')
    let failed = false
    for (const remain of remains) {
      if (dryRun) {
        ports.stdout(`would remove ${remain.what}\n`)
        continue
      }
      try {
        await remain.remove(AbortSignal.timeout(REMOVE_TIMEOUT_MS))
        ports.stdout(`removed ${remain.what}\n`)
      } catch (error) {
        // The rest is worth removing all the same.
        failed = true
        ports.stderr(`error: ${remain.what}: ${messageOf(error)}\n`)
      }
    }
    return failed ? EXIT.failed : EXIT.ok
  },
}

async function refuseIfRunning(ports: Ports, paths: Paths): Promise<void> {
  for (const [who, client] of [
    ['agent', ports.agent(paths)],
    ['proxy', ports.proxy(paths)],
  ] as const) {
    if (await client.answers())
      throw new ShuntError('ALREADY_RUNNING', `the ${who} of ${paths.runDir} is running`, {
        hint: `stop it first; with --force it is cleaned up anyway, and a running agent makes it all again`,
      })
  }
}
