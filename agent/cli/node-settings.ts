// How the rules of a running agent were made, so that a command reads and renders them alike.

import { pathsOf } from '../config/paths.ts'
import { OPTIONS, type Configuration } from '../config/options.ts'
import { ShuntError } from '../model/errors.ts'
import type { AgentStatus } from '../sync/status.ts'
import type { OptionSpec } from './command.ts'
import type { Input } from './input.ts'
import type { NodePorts, NodeSettings, Ports } from './ports.ts'

/** For commands that look at the kernel. */
export const VARIANT_OPTION: OptionSpec = {
  flags: '--iptables-variant <variant>',
  description: "which iptables to read (default: the agent's, or the one that holds rules)",
  choices: ['auto', 'nft', 'legacy'],
}

/** The node as a running agent sees it; without one, by the command's own options and the defaults. */
export async function openNode(ports: Ports, input: Input): Promise<NodePorts> {
  const paths = pathsOf(input.text('runDir') ?? '')
  const agent = await agentSettings(ports, input)
  const chosen = OPTIONS.iptablesVariant.type.parse(input.text('iptablesVariant') ?? agent.iptablesVariant)
  if (!chosen.ok) throw new ShuntError('USAGE', `--iptables-variant: expected ${chosen.expected}`)
  return await ports.node(paths, { ...agent, iptablesVariant: chosen.value })
}

async function agentSettings(ports: Ports, input: Input): Promise<NodeSettings> {
  const fallback = {
    iptablesVariant: OPTIONS.iptablesVariant.default,
    masqueradeBit: OPTIONS.masqueradeBit.default,
  }
  if (input.text('manifests') !== undefined) return fallback
  try {
    const agent = ports.agent(pathsOf(input.text('runDir') ?? ''))
    const { iptablesVariant, masqueradeBit } = (await agent.get('/config')) as Configuration
    const { pid } = (await agent.get('/status')) as AgentStatus
    return { iptablesVariant, masqueradeBit, agentPid: pid }
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PEER_UNREACHABLE') return fallback
    throw error
  }
}
