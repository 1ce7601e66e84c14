// Where a command's Plan comes from: the agent's socket, or manifests read here when `-f` is given.

import type { Plan } from '../plan/plan.ts'
import type { OptionSpec } from './command.ts'
import type { Input } from './input.ts'
import { planFromData } from './plan-data.ts'
import type { Ports } from './ports.ts'
import { runPaths } from './run-paths.ts'

/** For every command that also works on manifests alone. */
export const MANIFESTS_OPTION: OptionSpec = {
  flags: '-f, --manifests <path>',
  description: 'work offline, on a manifest file or folder',
}

/** Options of the agent that change a plan; they hold offline, where no agent says them. */
export const PLAN_OPTIONS: readonly OptionSpec[] = [
  { flags: '--node-name <name>', description: 'with -f: the node to plan for' },
  { flags: '--cluster-cidr <ranges>', description: 'with -f: ranges of the Pods, separated by commas' },
  {
    flags: '--steer <mode>',
    description: 'with -f: which Services are steered',
    choices: ['auto', 'always', 'never'],
  },
]

/** `offline` tells that nothing of this is in a kernel. */
export interface SourcedPlan {
  readonly plan: Plan
  readonly offline: boolean
}

/** Throws PEER_UNREACHABLE or NOT_READY without an agent. Errors in manifests are a warning on stderr. */
export async function sourcePlan(ports: Ports, input: Input): Promise<SourcedPlan> {
  const path = input.text('manifests')
  if (path === undefined) {
    const agent = ports.agent(await runPaths(ports, input))
    return { plan: planFromData(await agent.get('/plan')), offline: false }
  }
  const source = await ports.manifests(path, planFlags(input))
  const errors = source.problems.filter((problem) => problem.severity === 'error')
  // Like the agent, the plan goes on without the bad documents.
  if (errors.length > 0) {
    const count = errors.length === 1 ? '1 error' : `${errors.length} errors`
    ports.stderr(`warning: ${count} in the manifests; see \`shunt validate -f ${path}\`\n`)
  }
  return { plan: source.plan(), offline: true }
}

function planFlags(input: Input): Readonly<Record<string, string>> {
  const given = ['nodeName', 'clusterCidr', 'steer'].map((name) => [name, input.text(name)] as const)
  return Object.fromEntries(given.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}
