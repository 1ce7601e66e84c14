// What a proxy tells its successor beside the sockets: which view it serves, and what it learnt. Plain JSON in parts, of which
// none takes long to write or to read.

import { exportState, importState, type Memory } from '../decision/handover-state.ts'
import { isObject } from '../decision/reasons.ts'
import type { ProxyView } from '../decision/view.ts'

/** Which view it is. */
export type ViewName = Pick<ProxyView, 'epoch' | 'generation'>

/** First the view. */
export function* tellState(view: ProxyView | undefined, memory: Memory, nowMs: number): Iterable<unknown> {
  yield view === undefined ? null : { epoch: view.epoch, generation: view.generation }
  yield* exportState(memory, nowMs)
}

/** undefined: the other has none, or it died before it told. */
export function toldView([view]: readonly unknown[]): ViewName | undefined {
  if (!isObject(view)) return undefined
  const { epoch, generation } = view
  return typeof epoch === 'string' && typeof generation === 'number' ? { epoch, generation } : undefined
}

/** What is not about the view in force is ignored. Answers how many entries were taken, and how many not. */
export function learn(
  [, ...parts]: readonly unknown[],
  memory: Memory,
  view: ProxyView,
  nowMs: number,
): { readonly taken: number; readonly ignored: number } {
  const sum = { taken: 0, ignored: 0 }
  for (const part of parts) {
    const { taken, ignored } = importState(memory, part, view, nowMs)
    sum.taken += taken
    sum.ignored += ignored
  }
  return sum
}
