// What turns the sets and keys of steering into others, in two halves: everything that adds comes before the rules,
// everything that takes away comes after them. In between the sets hold both, which is right for both.

import type { SteerKey } from '../steer/steering.ts'
import { SET_TYPES, type SteerSets } from './steer-sets.ts'

export interface SetChange {
  /** For `ipset -exist restore`; '' if there is nothing to do. */
  readonly before: string
  readonly after: string
  readonly addKeys: readonly SteerKey[]
  readonly removeKeys: readonly SteerKey[]
  /** Set names; a list comes before its members. */
  readonly destroy: readonly string[]
  readonly size: number
}

export function diffSets(live: SteerSets, want: SteerSets): SetChange {
  const before: string[] = []
  const after: string[] = []
  const destroy: string[] = []
  for (const [name, type] of SET_TYPES) {
    const [had, has] = [live.members.get(name), want.members.get(name)]
    if (had === has) continue
    if (has === undefined) {
      destroy.unshift(name)
      continue
    }
    if (had === undefined) before.push(`create ${name} ${type}\n`)
    for (const member of has) if (!had?.has(member)) before.push(`add ${name} ${member}\n`)
    for (const member of had ?? []) if (!has.has(member)) after.push(`del ${name} ${member}\n`)
  }
  const [liveKeys, wantKeys] = [new Set(live.keys.map(keyText)), new Set(want.keys.map(keyText))]
  const addKeys = want.keys.filter((key) => !liveKeys.has(keyText(key)))
  const removeKeys = live.keys.filter((key) => !wantKeys.has(keyText(key)))
  const size = before.length + after.length + destroy.length + addKeys.length + removeKeys.length
  return { before: before.join(''), after: after.join(''), addKeys, removeKeys, destroy, size }
}

export function keyText({ ip, port }: SteerKey): string {
  return `${ip ?? 'node'} ${port}`
}
