// Flags back to a command line, for the supervisor's children.

import { optionsOf } from './load.ts'
import { flagOf, OPTION_KEYS, optionRow } from './options.ts'

/** What of `flags` concerns the command, hidden options included. */
export function argumentsFor(
  command: 'agent' | 'proxy',
  flags: Readonly<Record<string, unknown>>,
): readonly string[] {
  const config = flags['config']
  const keys = OPTION_KEYS.filter((key) => optionsOf(command).includes(key) || optionRow(key).hidden === true)
  return [
    command,
    ...(typeof config === 'string' ? [`--config=${config}`] : []),
    ...keys.flatMap((key) => {
      const value = flags[key]
      return typeof value === 'string' || typeof value === 'boolean' ? [`${flagOf(key)}=${value}`] : []
    }),
  ]
}
