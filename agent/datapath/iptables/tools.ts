// The kernel programs of one variant: which program does what, with which arguments.

import { ShuntError } from '../../model/errors.ts'
import type { Family } from '../../model/ip.ts'
import { mustRun, type CommandResult, type CommandRunner } from '../../kernel/command.ts'
import { toolFamily } from './names.ts'
import { createSaveParser } from './parse.ts'
import type { ReadRules } from './state.ts'
import { SET_TYPES, LIVE_SETS, type SteerSets } from './steer-sets.ts'

/** `default`: what the distribution's alternatives point to. */
export type ToolVariant = 'nft' | 'legacy' | 'default'

export function toolName(family: Family, variant: ToolVariant, tool: '' | '-save' | '-restore'): string {
  return `${toolFamily(family)}${variant === 'default' ? '' : `-${variant}`}${tool}`
}

/** How long a tool waits for /run/xtables.lock (legacy), as kube-proxy does. */
const LOCK_WAIT_S = 5

/**
 * The nft variant takes half a minute to load 10,000 Services on an idle machine, and minutes on a busy one; to kill it
 * would only mean to begin again.
 */
const RESTORE_TIMEOUT_MS = 900_000

/** What is ours; chains beyond `textLimit` characters come as digests. */
export async function saveRules(
  runner: CommandRunner,
  family: Family,
  variant: ToolVariant,
  signal?: AbortSignal,
  textLimit = Infinity,
): Promise<ReadRules> {
  const parser = createSaveParser(textLimit)
  const program = toolName(family, variant, '-save')
  const onStdout = (piece: string): void => {
    parser.push(piece)
  }
  await mustRun(runner, { program, args: [], onStdout }, signal)
  return parser.end()
}

export async function restoreRules(
  runner: CommandRunner,
  family: Family,
  variant: ToolVariant,
  text: Iterable<string>,
  signal?: AbortSignal,
): Promise<CommandResult> {
  const program = toolName(family, variant, '-restore')
  const args = ['--noflush', '--wait', String(LOCK_WAIT_S)]
  return await mustRun(runner, { program, args, stdinPieces: text, timeoutMs: RESTORE_TIMEOUT_MS }, signal)
}

/** Members of our sets; a node without the ipset program has none. */
export async function readSets(
  runner: CommandRunner,
  signal?: AbortSignal,
): Promise<Pick<SteerSets, 'members'>> {
  const members = new Map<string, Set<string>>()
  const names = await setNames(runner, signal)
  for (const name of names) {
    const of = new Set<string>()
    members.set(name, of)
    if (LIVE_SETS.has(name)) continue
    const { stdout } = await mustRun(runner, { program: 'ipset', args: ['save', name] }, signal)
    for (const line of stdout.split('\n')) {
      const [verb, , member] = line.split(' ')
      if (verb === 'add' && member !== undefined) of.add(member)
    }
  }
  return { members }
}

async function setNames(runner: CommandRunner, signal: AbortSignal | undefined): Promise<string[]> {
  try {
    const { stdout } = await mustRun(runner, { program: 'ipset', args: ['list', '-n'] }, signal)
    return stdout.split('\n').filter((name) => SET_TYPES.has(name))
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PROGRAM_MISSING') return []
    throw error
  }
}

export async function restoreSets(runner: CommandRunner, text: string, signal?: AbortSignal): Promise<void> {
  await mustRun(runner, { program: 'ipset', args: ['-exist', 'restore'], stdin: text }, signal)
}

/** How often a set is tried again: the nft variant lets go of it a moment after the rules are gone. */
const DESTROY_ATTEMPTS = 40
const DESTROY_PAUSE_MS = 50

export async function destroySets(
  runner: CommandRunner,
  names: readonly string[],
  pause: (delayMs: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  for (const name of names)
    for (let attempt = 1; ; attempt++) {
      const result = await runner.run({ program: 'ipset', args: ['destroy', name] }, signal)
      if (result.exitCode === 0 || result.stderr.includes('does not exist')) break
      if (attempt === DESTROY_ATTEMPTS || !result.stderr.includes('in use'))
        throw new ShuntError(
          'PROGRAM_FAILED',
          `ipset destroy ${name} ended with code ${result.exitCode}: ${result.stderr.trim()}`,
        )
      await pause(DESTROY_PAUSE_MS)
    }
}
