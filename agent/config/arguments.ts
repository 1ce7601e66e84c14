// Flags back to a command line, for the supervisor's children.

import { optionsOf } from './load.ts'
import { flagOf } from './options.ts'

/** What of `flags` concerns the command. Hidden options have no flags: children inherit the environment. */
export function argumentsFor(
  command: 'agent' | 'proxy',
  flags: Readonly<Record<string, unknown>>,
): readonly string[] {
  const config = flags['config']
  return [
    command,
    ...(typeof config === 'string' ? [`--config=${config}`] : []),
    ...optionsOf(command).flatMap((key) => {
      const value = flags[key]
      return typeof value === 'string' || typeof value === 'boolean' ? [`${flagOf(key)}=${value}`] : []
    }),
  ]
}
