// Carries a changeset out, in the order that never leaves a rule pointing at what is not there: steering's kernel side
// and sets grow, rules change, then sets and keys shrink. Every step is named, so that tests can stop between any two.

import type { Clock } from '../../model/clock.ts'
import { ShuntError } from '../../model/errors.ts'
import type { Family } from '../../model/ip.ts'
import type { CommandRunner } from '../../kernel/command.ts'
import type { CommitReport } from '../datapath.ts'
import type { SteeringKernel } from '../steer/steering.ts'
import type { IptablesChangeset } from './changeset.ts'
import { changeSize } from './diff.ts'
import { restorePieces } from './restore-text.ts'
import { destroySets, restoreRules, restoreSets, type ToolVariant } from './tools.ts'

export type CommitStep =
  | 'steering-prepare'
  | 'steering-add'
  | 'sets-grow'
  | 'rules-IPv4'
  | 'rules-IPv6'
  | 'sets-shrink'
  | 'steering-remove'
  | 'sets-destroy'
  | 'end'

export interface CommitTools {
  readonly runner: CommandRunner
  readonly steering: SteeringKernel
  readonly clock: Clock
  readonly variant: ToolVariant
  readonly onRestoreFailure?: ((family: Family) => void) | undefined
  /** Called before each step that has something to do, and at the end. */
  readonly onStep?: ((step: CommitStep) => void | Promise<void>) | undefined
}

export async function carryOut(
  change: IptablesChangeset,
  tools: CommitTools,
  signal: AbortSignal,
): Promise<CommitReport> {
  const { runner, steering, onStep } = tools
  const { sets, prepare, want } = change
  const kernelMs: Partial<Record<Family, number>> = {}
  const step = async (name: CommitStep, needed: boolean, work: () => Promise<void>): Promise<void> => {
    if (!needed) return
    signal.throwIfAborted()
    await onStep?.(name)
    await work()
  }
  // sk_lookup must stand before rules mark packets for it, and is taken away only after them.
  const late = want.steering.mechanism !== 'sk_lookup'
  const prepareNow = async (): Promise<void> => {
    if (prepare !== undefined) await steering.prepare(prepare)
  }
  await step('steering-prepare', prepare !== undefined && !late, prepareNow)
  await step('steering-add', sets.addKeys.length > 0, async () => {
    await steering.add(sets.addKeys)
  })
  await step('sets-grow', sets.before !== '', async () => {
    await restoreSets(runner, sets.before, signal)
  })
  const failures: unknown[] = []
  for (const family of change.families) {
    await step(`rules-${family.family}`, changeSize(family) > 0, async () => {
      try {
        const { durationMs } = await restoreRules(
          runner,
          family.family,
          tools.variant,
          restorePieces(family),
          signal,
        )
        kernelMs[family.family] = durationMs
      } catch (error) {
        // One family's failure must not keep the other from its rules (row 5: they are independent).
        failures.push(error)
        tools.onRestoreFailure?.(family.family)
      }
    })
  }
  if (failures.length > 0) throw firstOf(failures)
  await step('sets-shrink', sets.after !== '', async () => {
    await restoreSets(runner, sets.after, signal)
  })
  await step('steering-remove', sets.removeKeys.length > 0, async () => {
    await steering.remove(sets.removeKeys)
  })
  await step('steering-prepare', prepare !== undefined && late, prepareNow)
  await step('sets-destroy', sets.destroy.length > 0, async () => {
    await destroySets(runner, sets.destroy, pauseWith(tools.clock), signal)
  })
  await step('end', true, async () => {})
  return { kernelMs }
}

export function pauseWith(clock: Clock): (delayMs: number) => Promise<void> {
  return async (delayMs) => {
    const over = Promise.withResolvers<void>()
    clock.after(delayMs, over.resolve)
    await over.promise
  }
}

function firstOf(failures: readonly unknown[]): unknown {
  const [first] = failures
  return first instanceof Error || first instanceof ShuntError ? first : new Error(String(first))
}
