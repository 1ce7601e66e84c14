// Small changes of a big chain. To send KUBE-SERVICES of ten thousand Services anew takes the nft variant seconds, to
// delete and insert the lines of one Service milliseconds. The result is the same chain, line for line.

import type { ServicePortKey } from '../../model/ids.ts'
import type { ServicePortPlan } from '../../plan/plan.ts'
import type { SharedChain, SharedPart } from './shared-lines.ts'
import { cachedLines, headOf, partsOf, type ChainKey, type RenderedRules } from './state.ts'

export interface ChainEdit {
  readonly key: ChainKey
  /** Lines to delete, as `-A CHAIN …`. */
  readonly remove: readonly string[]
  /** Lines to insert once those are gone, from top to bottom; `at` is the 1-based place that the line then has. */
  readonly insert: readonly { readonly at: number; readonly line: string }[]
}

/** Beyond this many Service ports a chain is sent anew. */
const EDIT_LIMIT = 32

export type ChangedPorts = ReadonlyMap<
  ServicePortKey,
  { readonly before: ServicePortPlan | undefined; readonly after: ServicePortPlan | undefined }
>

/** undefined: send the chain anew, because much of it changed, or because it is not big. */
export function editOf(
  shared: SharedChain,
  live: RenderedRules,
  want: RenderedRules,
  changed: ChangedPorts,
): ChainEdit | undefined {
  if (changed.size > EDIT_LIMIT || changed.size * 8 > want.ports.size || live.clashes !== want.clashes)
    return undefined
  const remove: string[] = []
  const insert: { at: number; line: string }[] = []
  const linesOf = (port: ServicePortPlan | undefined, rules: RenderedRules, part: SharedPart): string[] =>
    port === undefined ? [] : split(cachedLines(port, rules.context)[part])
  let at = split(headOf(want, shared)).length
  for (const part of partsOf(shared)) {
    for (const { before, after } of changed.values()) {
      const [old, now] = [linesOf(before, live, part), linesOf(after, want, part)]
      if (old.join() !== now.join()) remove.push(...old)
    }
    for (const [key, port] of want.ports) {
      const text = cachedLines(port, want.context)[part]
      if (text === undefined) continue
      const now = split(text)
      const change = changed.get(key)
      if (change !== undefined && linesOf(change.before, live, part).join() !== now.join())
        for (const [i, line] of now.entries()) insert.push({ at: at + i + 1, line })
      at += now.length
    }
  }
  return { key: shared, remove, insert }
}

function split(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.slice(0, -1).split('\n')
}
