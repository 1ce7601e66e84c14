// How the rules of a running agent were made, so that a command reads and renders them alike.

import { pathsOf, type Paths } from '../config/paths.ts'
import { OPTIONS, type Configuration } from '../config/options.ts'
import { ShuntError } from '../model/errors.ts'
import type { AgentStatus } from '../sync/status.ts'
import type { OptionSpec } from './command.ts'
import type { Input } from './input.ts'
import type { NodePorts, NodeSettings, Ports } from './ports.ts'
import { debugConfiguration } from './run-paths.ts'

/** For commands that look at the kernel. */
export const VARIANT_OPTION: OptionSpec = {
  flags: '--iptables-variant <variant>',
  description: "which iptables to read (default: the agent's, or the one that holds rules)",
  choices: ['auto', 'nft', 'legacy'],
}

/** The node as a running agent sees it; without one, by the command's own options and the defaults. */
export async function openNode(ports: Ports, input: Input): Promise<NodePorts> {
  const { runDir, iptablesVariant } = await debugConfiguration(ports, input)
  const paths = pathsOf(runDir)
  const agent = input.text('manifests') === undefined ? await agentSettings(ports, paths) : DEFAULTS
  return await ports.node(paths, iptablesVariant === 'auto' ? agent : { ...agent, iptablesVariant })
}

const DEFAULTS: NodeSettings = {
  iptablesVariant: OPTIONS.iptablesVariant.default,
  masqueradeBit: OPTIONS.masqueradeBit.default,
}

async function agentSettings(ports: Ports, paths: Paths): Promise<NodeSettings> {
  const agent = ports.agent(paths)
  try {
    const { iptablesVariant, masqueradeBit } = (await agent.get('/config')) as Configuration
    const { pid } = (await agent.get('/status')) as AgentStatus
    return { iptablesVariant, masqueradeBit, agentPid: pid }
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PEER_UNREACHABLE') return DEFAULTS
    throw error
  }
}
