// shunt diff: what would be sent to the kernel to make it what the plan says.

import type { Changeset } from '../../datapath/datapath.ts'
import type { Plan } from '../../plan/plan.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, type Printed } from '../output.ts'
import { openNode, VARIANT_OPTION } from '../node-settings.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import type { NodePorts } from '../ports.ts'

/** Reading 10,000 Services takes iptables-nft-save some seconds. */
const READ_TIMEOUT_MS = 60_000

export const diff: Command = {
  spec: {
    name: 'diff',
    summary: 'what the kernel has that differs from the plan, as the exact text that would correct it',
    details:
      'Reads the kernel and prints the changes that the agent would commit; nothing is changed. With -f nothing is ' +
      'read: the text is what a kernel without any of it would get. Exits with 1 if there are differences.',
    arguments: [],
    options: [MANIFESTS_OPTION, ...PLAN_OPTIONS, VARIANT_OPTION, RUN_DIR_OPTION],
    prints: true,
    examples: [
      { line: 'shunt diff', explains: 'whether somebody changed our rules' },
      { line: 'shunt diff -f manifests/', explains: 'the rules that these manifests would become' },
    ],
  },
  async run(ports, input) {
    const { plan, offline } = await sourcePlan(ports, input)
    const node = await openNode(ports, input)
    const changes = offline
      ? node.datapath.change(undefined, node.datapath.render(plan))
      : await liveChanges(node, plan)
    ports.stdout(format(printedChanges(node.datapath.name, plan, changes), input.outputFormat()))
    return offline || changes.size === 0 ? EXIT.ok : EXIT.failed
  },
}

async function liveChanges({ datapath }: NodePorts, plan: Plan): Promise<Changeset> {
  const live = await datapath.read(AbortSignal.timeout(READ_TIMEOUT_MS))
  return datapath.change(live, datapath.render(plan))
}

function printedChanges(datapath: string, plan: Plan, changes: Changeset): Printed {
  return {
    data: () => ({
      datapath,
      generation: plan.generation,
      size: changes.size,
      full: changes.full,
      text: changes.toString(),
    }),
    text: () =>
      changes.size === 0 ? `no differences (${datapath}, generation ${plan.generation})` : changes.toString(),
  }
}
