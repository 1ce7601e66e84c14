// Flags back to a command line, for the supervisor's children.

import { flagOf, OPTION_KEYS, optionRow } from './options.ts'

/** What of `flags` concerns the command, hidden options included. */
export function argumentsFor(
  command: 'agent' | 'proxy',
  flags: Readonly<Record<string, unknown>>,
): readonly string[] {
  const config = flags['config']
  return [
    command,
    ...(typeof config === 'string' ? [`--config=${config}`] : []),
    ...OPTION_KEYS.filter((key) => optionRow(key).commands.includes(command)).flatMap((key) => {
      const value = flags[key]
      return typeof value === 'string' || typeof value === 'boolean' ? [`${flagOf(key)}=${value}`] : []
    }),
  ]
}
