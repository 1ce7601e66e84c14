// What a command is: a spec from which the commander tree, --help and docs/commands.md are made, and a function of
// its input and its ports. Nothing in a command touches the process, so tests run it as it is.

import type { ExitCode } from './exit.ts'
import type { Input } from './input.ts'
import type { Ports } from './ports.ts'

export interface Command {
  readonly spec: CommandSpec
  /** Prints to the ports and answers the exit code; throws a ShuntError for what stops it. */
  run(ports: Ports, input: Input): Promise<ExitCode>
}

export interface CommandSpec {
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  /** Further paragraphs of --help. */
  readonly details?: string
  readonly arguments: readonly ArgumentSpec[]
  readonly options: readonly OptionSpec[]
  /** True if it prints data: it then has `-o table|wide|json|yaml`. */
  readonly prints: boolean
  /** Command lines with what they are for; shown by --help. */
  readonly examples: readonly Example[]
}

export interface ArgumentSpec {
  /** `<required>` or `[optional]`, as commander writes them. */
  readonly syntax: string
  readonly description: string
}

export interface OptionSpec {
  /** `-f, --manifests <path>`, as commander writes them. */
  readonly flags: string
  readonly description: string
  readonly choices?: readonly string[]
  readonly default?: string
  /** May be given several times. */
  readonly repeatable?: true
  /** For tests alone: accepted, and in no help. */
  readonly hidden?: true
}

export interface Example {
  readonly line: string
  readonly explains: string
}
