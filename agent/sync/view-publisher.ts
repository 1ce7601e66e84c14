// What the proxy is told, and when, so that the kernel never steers a frontend that the proxy does not know:
//
//   before a commit   everything of the new view plus what only the old one had; wait for the proxy's acknowledgement
//   after a commit    exactly the new view
//
// The wait is short and bounded, because L4 must not wait for L7: a proxy that stalls falls out of the path by itself.

import { equal } from '../model/equal.ts'
import type { Log } from '../model/log.ts'
import type { Plan } from '../plan/plan.ts'
import type { ProxyView } from '../proxy/decision/view.ts'
import { unionView } from './union-view.ts'
import type { ViewServer } from './view-server.ts'

export interface ViewPublisherParts {
  readonly server: Pick<ViewServer, 'publish' | 'acked' | 'proxies'>
  /** The view of a plan; its generation is replaced by a running number. */
  readonly viewOf: (plan: Plan) => ProxyView
  /** What a proxy that outlived the last agent may serve: the kernel may still steer all of it. */
  readonly base: ProxyView | undefined
  readonly log: Log
}

export interface ViewPublisher {
  beforeCommit(plan: Plan): Promise<void>
  afterCommit(): void
  /** What proxies get now; undefined before the first plan. */
  current(): ProxyView | undefined
}

/** Applying a delta takes a proxy a few milliseconds; reading a whole view of a large cluster some hundred. */
const ACK_WAIT_MS = 1_000

export function createViewPublisher(parts: ViewPublisherParts): ViewPublisher {
  let generation = 0
  let published: ProxyView | undefined
  let exact: ProxyView | undefined

  function publish(view: ProxyView): ProxyView {
    if (published !== undefined && sameContent(published, view)) return published
    generation += 1
    published = { ...view, generation }
    parts.server.publish(published)
    return published
  }

  return {
    async beforeCommit(plan) {
      exact = parts.viewOf(plan)
      const union = unionView(published ?? parts.base, exact)
      const { generation } = publish(union.view)
      if (!union.adds) return
      const result = await parts.server.acked(generation, ACK_WAIT_MS)
      if (result === 'timeout')
        parts.log.warn(
          { generation, proxies: parts.server.proxies() },
          'a proxy has not acknowledged new frontends; the kernel is programmed all the same',
        )
    },
    afterCommit() {
      if (exact !== undefined) publish(exact)
    },
    current: () => published,
  }
}

function sameContent(a: ProxyView, b: ProxyView): boolean {
  return equal(a.node, b.node) && equal(a.frontends, b.frontends) && equal(a.services, b.services)
}
