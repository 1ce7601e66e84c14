// A view and what changed since: the next view. The old one stays as it was, because decisions may still hold it.

import { VIEW_VERSION, type ProxyView, type ViewDelta } from './view.ts'

export type Applied =
  | { readonly kind: 'ok'; readonly view: ProxyView }
  /** The delta does not continue this view; only a snapshot helps. */
  | { readonly kind: 'resync'; readonly because: string }

/** The version was checked when the delta was read. */
export function applyDelta(view: ProxyView | undefined, delta: ViewDelta): Applied {
  if (view === undefined) return resync('a change came before any snapshot')
  if (delta.epoch !== view.epoch) return resync(`the agent's epoch is ${delta.epoch}, ours ${view.epoch}`)
  if (delta.from !== view.generation)
    return resync(`the change starts at generation ${delta.from}, ours is ${view.generation}`)
  if (delta.to <= delta.from) return resync(`the change leads from ${delta.from} back to ${delta.to}`)
  return {
    kind: 'ok',
    view: {
      version: VIEW_VERSION,
      epoch: view.epoch,
      generation: delta.to,
      node: delta.node ?? view.node,
      frontends: patch(view.frontends, delta.frontends),
      services: patch(view.services, delta.services),
    },
  }
}

/** null removes; removing what is not there is nothing. An empty change keeps the object. */
function patch<V>(
  from: Readonly<Record<string, V>>,
  changes: Readonly<Record<string, V | null>>,
): Readonly<Record<string, V>> {
  const changed = Object.entries(changes)
  if (changed.length === 0) return from
  const to: Record<string, V> = { ...from }
  for (const [key, value] of changed) {
    if (value === null) delete to[key]
    else to[key] = value
  }
  return to
}

function resync(because: string): Applied {
  return { kind: 'resync', because }
}
