// The commander tree, built from the commands' specs, and the way from argv to an exit code.

import { Argument, Command as Commander, CommanderError, Option } from 'commander'
import { VERSION } from '../config/version.ts'
import { ShuntError } from '../model/errors.ts'
import type { Command, CommandSpec, OptionSpec } from './command.ts'
import { EXIT, exitCodeOf, formatError, type ExitCode } from './exit.ts'
import { Input } from './input.ts'
import { OUTPUT_FORMATS } from './output.ts'
import type { Ports } from './ports.ts'

const OUTPUT_OPTION: OptionSpec = {
  flags: '-o, --output <format>',
  description: 'how to print: for people, for people with every column, or for programs',
  choices: OUTPUT_FORMATS,
  default: 'table',
}

/** Runs one command line (without node and the script) to its exit code; prints errors, never throws. */
export async function runCli(
  argv: readonly string[],
  commands: readonly Command[],
  ports: Ports,
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok
  const program = buildProgram(commands, ports, (code) => {
    exitCode = code
  })
  try {
    if (argv.length === 0) {
      ports.stderr(program.helpInformation())
      return EXIT.usage
    }
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    return report(error, ports)
  }
}

/** The whole tree; `finished` gets the exit code of the command that ran. */
export function buildProgram(
  commands: readonly Command[],
  ports: Ports,
  finished: (code: ExitCode) => void,
): Commander {
  const program = new Commander('shunt')
    .description("Kubernetes node agent and per-node proxy: see and steer a node's Service traffic.")
    .version(VERSION, '-V, --version', 'the version of this program')
    .helpCommand('help [command]', 'the help of one command')
    .helpOption('-h, --help', 'this help')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => ports.stdout(text),
      // Errors are thrown by exitOverride and printed once, by report().
      writeErr: () => {},
    })
    .addHelpText('after', '\nExit codes: 0 ok, 1 failed, 2 wrong usage, 3 not ready.')
  for (const command of commands) program.addCommand(buildCommand(command, ports, finished))
  for (const child of program.commands) child.copyInheritedSettings(program)
  return program
}

/** The options of a command, the one that every printing command shares included. */
export function optionsOf(spec: CommandSpec): readonly OptionSpec[] {
  return spec.prints ? [...spec.options, OUTPUT_OPTION] : spec.options
}

function buildCommand(command: Command, ports: Ports, finished: (code: ExitCode) => void): Commander {
  const { spec } = command
  const built = new Commander(spec.name)
    .summary(spec.summary)
    .description([spec.summary, spec.details ?? ''].filter((text) => text !== '').join('\n\n'))
    .addHelpText('after', `\n${examplesText(spec)}`)
  for (const argument of spec.arguments)
    built.addArgument(new Argument(argument.syntax, argument.description))
  for (const option of optionsOf(spec)) built.addOption(buildOption(option))
  built.action(async () => {
    finished(await command.run(ports, new Input(built.args, built.opts())))
  })
  return built
}

function examplesText(spec: CommandSpec): string {
  const lines = spec.examples.map((example) => `  ${example.line}\n      ${example.explains}`)
  return `${spec.examples.length === 1 ? 'Example' : 'Examples'}:\n${lines.join('\n')}`
}

function buildOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description)
  if (spec.choices !== undefined) option.choices([...spec.choices])
  if (spec.hidden === true) option.hideHelp()
  if (spec.default !== undefined) option.default(spec.default)
  if (spec.repeatable === true)
    option.argParser((value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value])
  return option
}

function report(error: unknown, ports: Ports): ExitCode {
  // --help and --version also leave commander by an exception; they are answers, not errors.
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
  const shown = error instanceof CommanderError ? usageError(error) : error
  ports.stderr(formatError(shown))
  return exitCodeOf(shown)
}

function usageError(error: CommanderError): ShuntError {
  const [message = 'wrong usage', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const hint = suggestion === undefined ? undefined : suggestion.replace(/^\((.*)\)$/, '$1')
  return new ShuntError('USAGE', message, hint === undefined ? {} : { hint })
}
