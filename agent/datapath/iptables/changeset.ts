// The change of the whole datapath: sets and keys of steering around the rules of both families.

import { FAMILIES, type Family } from '../../model/ip.ts'
import type { Changeset } from '../datapath.ts'
import type { Mechanism } from '../steer/steering.ts'
import { changeSize, diffPorts, diffRead, type FamilyChange } from './diff.ts'
import { toolFamily } from './names.ts'
import { restoreText } from './restore-text.ts'
import { diffSets, keyText, type SetChange } from './set-change.ts'
import { NO_RULES, type FamilyRules, type IptablesState } from './state.ts'
import { NO_SETS } from './steer-sets.ts'

export interface IptablesChangeset extends Changeset {
  readonly kind: 'iptables'
  readonly want: IptablesState
  readonly families: readonly FamilyChange[]
  readonly sets: SetChange
  /** The mechanism to prepare; undefined: it is. */
  readonly prepare: Mechanism | undefined
}

/** A state of a kernel without anything of ours. */
export const NOTHING: IptablesState = {
  families: {},
  sets: NO_SETS,
  steering: { mechanism: 'off', routed: [] },
}

/**
 * `live` undefined, or rendered for another context than `want`: the changeset is full. Its text is that of a kernel
 * without rules of ours; commit() reads what is there and sends only the difference, stale chains included.
 */
export function changeBetween(live: IptablesState | undefined, want: IptablesState): IptablesChangeset {
  const full = live === undefined || !comparable(live, want)
  const from = full ? NOTHING : live
  const families = FAMILIES.flatMap((family) => {
    const change = familyChange(family, from.families[family] ?? NO_RULES, want.families[family])
    return change === undefined || changeSize(change) === 0 ? [] : [change]
  })
  const sets = diffSets(from.sets, want.sets)
  const prepare = full || !isPrepared(from, want) ? want.steering.mechanism : undefined
  const size =
    families.reduce((sum, change) => sum + changeSize(change), sets.size) + (prepare === undefined ? 0 : 1)
  return {
    kind: 'iptables',
    want,
    families,
    sets,
    prepare,
    full,
    size,
    toString: () => changesetText(families, sets, prepare),
  }
}

/** Rules in chains of others can be compared only with what was read. */
function comparable(live: IptablesState, want: IptablesState): boolean {
  return FAMILIES.every((family) => {
    const [from, to] = [live.families[family], want.families[family]]
    if (from?.kind !== 'rendered') return true
    return to?.kind === 'rendered' && from.context === to.context
  })
}

function familyChange(
  family: Family,
  live: FamilyRules,
  want: FamilyRules | undefined,
): FamilyChange | undefined {
  if (live.kind === 'read') return diffRead(family, live, want)
  return want?.kind === 'rendered' ? diffPorts(family, live, want) : undefined
}

function isPrepared(live: IptablesState, want: IptablesState): boolean {
  return (
    // Of the others the steering kernel has nothing.
    (live.steering.mechanism === 'sk_lookup') === (want.steering.mechanism === 'sk_lookup') &&
    want.steering.routed.every((family) => live.steering.routed.includes(family))
  )
}

function changesetText(
  families: readonly FamilyChange[],
  sets: SetChange,
  prepare: Mechanism | undefined,
): string {
  const parts: string[] = []
  const section = (header: string, text: string): void => {
    if (text !== '') parts.push(`# ${header}\n${text}`)
  }
  if (prepare !== undefined) section(`steering: prepare ${prepare}`, '\n')
  section('steering: add keys', sets.addKeys.map((key) => `${keyText(key)}\n`).join(''))
  section('ipset -exist restore, before the rules', sets.before)
  for (const change of families)
    section(`${toolFamily(change.family)}-restore --noflush`, restoreText(change))
  section('ipset -exist restore, after the rules', sets.after)
  section('steering: remove keys', sets.removeKeys.map((key) => `${keyText(key)}\n`).join(''))
  section('ipset destroy', sets.destroy.map((name) => `${name}\n`).join(''))
  return parts.join('')
}
