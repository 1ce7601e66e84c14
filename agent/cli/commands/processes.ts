// shunt agent, proxy and run: the long-running commands. Their options are the rows of the one table of options.

import { optionsOf } from '../../config/load.ts'
import { flagOf, OPTION_KEYS, optionRow, type OptionKey } from '../../config/options.ts'
import type { Command, Example, OptionSpec } from '../command.ts'
import type { Processes } from '../ports.ts'

export const agent: Command = processCommand(
  'agent',
  "watch Services and program this node's kernel",
  'Takes the place of kube-proxy: its rules are taken over in one step, and stay when the agent stops.',
  [
    {
      line: 'shunt agent --manifests /etc/shunt/manifests',
      explains: 'Services from a folder, without a cluster',
    },
    {
      line: 'shunt agent --config kube-proxy.yaml --manifests DIR',
      explains: 'with the settings of a kubeadm node',
    },
  ],
)

export const proxy: Command = processCommand(
  'proxy',
  'accept the connections that are steered to this node and relay them to endpoints',
  'Starts as root to open its sockets and then becomes an unprivileged user. Without an agent it serves the last ' +
    'view that it was given.',
  [{ line: 'shunt proxy', explains: 'beside an agent on the same node' }],
)

export const run: Command = processCommand(
  'run',
  'agent and proxy together, for hosts, demonstrations and tests',
  'A supervisor with two children; either is started again when it dies. SIGHUP replaces the proxy, without losing a ' +
    'connection.',
  [
    {
      line: 'shunt run --manifests manifests/ --run-dir /tmp/shunt',
      explains: 'everything of it below one folder',
    },
  ],
)

function processCommand(
  name: keyof Processes,
  summary: string,
  details: string,
  examples: readonly Example[],
): Command {
  return {
    spec: {
      name,
      summary,
      details,
      arguments: [],
      options: [
        {
          flags: '--config <file>',
          description: 'ShuntConfiguration or KubeProxyConfiguration (SHUNT_CONFIG)',
        },
        ...OPTION_KEYS.filter((key) => concerns(key, name)).map(optionSpec),
      ],
      prints: false,
      examples,
    },
    run: (ports, input) => ports.processes[name](input.all()),
  }
}

/** Hidden ones too: the supervisor hands them on to its children. */
function concerns(key: OptionKey, name: keyof Processes): boolean {
  return optionsOf(name).includes(key) || optionRow(key).hidden === true
}

/** Values stay text here: the configuration reads and checks flags, environment and file alike. */
function optionSpec(key: OptionKey): OptionSpec {
  const row = optionRow(key)
  const fallback = row.defaultText ?? row.type.format(row.default)
  const words = row.type.name.split(' | ')
  const value = row.type.bare === true ? '[true|false]' : `<${words.length > 2 ? 'word' : row.type.name}>`
  const choices = words.length > 2 ? ` One of ${words.join(', ')}.` : ''
  return {
    flags: `${flagOf(key)} ${value}`,
    ...(row.hidden === true ? { hidden: true as const } : {}),
    description: `${row.doc}${choices}${fallback === '' ? '' : ` (default: ${fallback})`}`,
  }
}
