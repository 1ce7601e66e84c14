// Where the sockets of the agent and the proxy are that a command talks to: flag, environment or configuration file, as
// for the agent itself.

import type { Configuration } from '../config/options.ts'
import { pathsOf, type Paths } from '../config/paths.ts'
import type { OptionSpec } from './command.ts'
import type { Input } from './input.ts'
import type { Ports } from './ports.ts'

/** For every command that talks to a running agent or proxy. */
export const RUN_DIR_OPTION: OptionSpec = {
  flags: '--run-dir <folder>',
  description: "the agent's --run-dir, if it has one (SHUNT_RUN_DIR; default: /run/shunt)",
}

export async function runPaths(ports: Ports, input: Input): Promise<Paths> {
  return pathsOf((await debugConfiguration(ports, input)).runDir)
}

/** The options that debugging commands share with the agent. Throws CONFIG_INVALID. */
export function debugConfiguration(
  ports: Ports,
  input: Input,
): Promise<Pick<Configuration, 'runDir' | 'iptablesVariant'>> {
  const given = ['runDir', 'iptablesVariant'].map((name) => [name, input.text(name)])
  return ports.configuration(Object.fromEntries(given.filter(([, value]) => value !== undefined)))
}
