// The iptables datapath. README.md of this folder has the layout of its chains.

import { FAMILIES, type Family } from '../../model/ip.ts'
import { ShuntError } from '../../model/errors.ts'
import type { Clock } from '../../model/clock.ts'
import type { Log } from '../../model/log.ts'
import type { CommandRunner } from '../../kernel/command.ts'
import type { Changeset, Datapath } from '../datapath.ts'
import type { SteeringKernel } from '../steer/steering.ts'
import { changeBetween, NOTHING, type IptablesChangeset } from './changeset.ts'
import { carryOut, type CommitStep, type CommitTools } from './commit.ts'
import { DEFAULT_SETTINGS, type RenderSettings } from './context.ts'
import { probeIptables } from './probe.ts'
import { probeSteeringRules } from './probe-steering.ts'
import { createRenderer } from './render.ts'
import type { FamilyRules, IptablesState, SteeringState } from './state.ts'
import { readSets, saveRules } from './tools.ts'
import { chooseVariant, type VariantChoice } from './variant.ts'

/** A read of more than this, some thousand Services, keeps digests: comparing is all that it is for. */
const TEXT_LIMIT = 8_000_000

export interface IptablesDatapathOptions {
  readonly runner: CommandRunner
  readonly steering: SteeringKernel
  readonly clock: Clock
  readonly log: Log
  /** `auto`: as the node's other rules are, see variant.ts. */
  readonly variant?: 'auto' | 'nft' | 'legacy'
  readonly settings?: Partial<RenderSettings>
  /** Called for each restore that failed, to be counted. */
  readonly onRestoreFailure?: (family: Family) => void
  /** Only for tests: called before each step of a commit. */
  readonly onStep?: (step: CommitStep) => void | Promise<void>
}

export function createIptablesDatapath(options: IptablesDatapathOptions): Datapath<IptablesState> {
  const { runner, steering, log } = options
  const render = createRenderer({ ...DEFAULT_SETTINGS, ...options.settings })
  let choice: Promise<VariantChoice> | undefined
  let families: Promise<readonly Family[]> | undefined

  const variant = async (): Promise<VariantChoice> => {
    choice ??= chosen(options)
    return await choice.catch((error: unknown) => {
      choice = undefined
      throw error
    })
  }
  const probe = async (): ReturnType<Datapath['probe']> => {
    const { variant: kind, because } = await variant()
    return await probeIptables(runner, kind, because)
  }
  /** Families whose tools work here; asked once. */
  const usableFamilies = async (): Promise<readonly Family[]> => {
    families ??= probe().then((capability) => {
      if (capability.kind === 'usable') return capability.families
      throw new ShuntError('DATAPATH_UNUSABLE', capability.because, { hint: capability.hint })
    })
    return await families.catch((error: unknown) => {
      families = undefined
      throw error
    })
  }
  const commitTools = async (): Promise<CommitTools> => ({
    runner,
    steering,
    clock: options.clock,
    variant: (await variant()).variant,
    onRestoreFailure: options.onRestoreFailure,
    onStep: options.onStep,
  })

  const read = async (signal: AbortSignal): Promise<IptablesState> => {
    const { variant: kind } = await variant()
    const rules: Partial<Record<Family, FamilyRules>> = {}
    for (const family of await usableFamilies())
      rules[family] = await saveRules(runner, family, kind, signal, TEXT_LIMIT)
    const { members } = await readSets(runner, signal)
    const state = await steering.read()
    const keys = state.skLookup.kind === 'attached' ? state.skLookup.keys : []
    return { families: rules, sets: { members, keys }, steering: steeringOf(state) }
  }

  /** undefined: iptables does not work here at all, so there is nothing of ours in it. */
  const readIfUsable = async (signal: AbortSignal): Promise<IptablesState | undefined> => {
    try {
      return await read(signal)
    } catch (error) {
      if (error instanceof ShuntError && error.code === 'DATAPATH_UNUSABLE') return undefined
      throw error
    }
  }

  return {
    name: 'iptables',
    probe,
    probeSteering: async () =>
      await probeSteeringRules(runner, (await variant()).variant, await usableFamilies()),
    render,
    change: changeBetween,
    read,
    commit: async (changes, signal) => {
      const wanted = own(changes)
      const change = wanted.full ? changeBetween(await read(signal), wanted.want) : wanted
      log.debug({ size: change.size, full: wanted.full }, 'iptables commit')
      return await carryOut(change, await commitTools(), signal)
    },
    purge: async (signal) => {
      const live = await readIfUsable(signal)
      if (live !== undefined) await carryOut(changeBetween(live, NOTHING), await commitTools(), signal)
      await steering.purge()
    },
  }
}

async function chosen({ variant, runner, log }: IptablesDatapathOptions): Promise<VariantChoice> {
  if (variant === 'nft' || variant === 'legacy') return { variant, because: 'chosen by the configuration' }
  const choice = await chooseVariant(runner)
  log.info({ ...choice }, 'iptables variant chosen')
  return choice
}

/** The rules' mechanism off and dnat need nothing of the steering kernel. */
function steeringOf(state: Awaited<ReturnType<SteeringKernel['read']>>): SteeringState {
  const routed = FAMILIES.filter((family) => state.routedFamilies.includes(family))
  if (state.skLookup.kind === 'attached') return { mechanism: 'sk_lookup', routed }
  return { mechanism: routed.length > 0 ? 'sk_lookup' : 'off', routed }
}

function own(changes: Changeset): IptablesChangeset {
  if ('kind' in changes && changes.kind === 'iptables') return changes as IptablesChangeset
  throw new ShuntError('INTERNAL', 'the iptables datapath got the changeset of another')
}
