// What the proxy is told, and when, so that the kernel never steers a frontend that the proxy does not know:
//
//   before a commit   everything of the new view plus what only the old one had; wait for the proxy's acknowledgement
//   after a commit    the same for a little longer: connections that the kernel steered just before are on their way
//   after that        exactly the new view
//
// The wait is short and bounded, because L4 must not wait for L7: a proxy that stalls falls out of the path by itself.

import type { Clock } from '../model/clock.ts'
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
  readonly clock: Clock
  readonly log: Log
  /** How long a proxy keeps what the kernel steers no more; {@link LINGER_MS} if not given. */
  readonly lingerMs?: number
}

export interface ViewPublisher {
  beforeCommit(plan: Plan): Promise<void>
  afterCommit(): void
  /** What proxies get now; undefined before the first plan. */
  current(): ProxyView | undefined
  /** Sends nothing any more by itself. */
  stop(): void
}

/** Applying a delta takes a proxy a few milliseconds; reading a whole view of a large cluster some hundred. */
const ACK_WAIT_MS = 1_000

/**
 * From the packet that is marked to the proxy's accept. A proxy whose event loop needs longer has lost its heartbeat and
 * with it new connections; those in its queue still wait.
 */
const LINGER_MS = 5_000

export function createViewPublisher(parts: ViewPublisherParts): ViewPublisher {
  const { clock, lingerMs = LINGER_MS } = parts
  let generation = 0
  let published: ProxyView | undefined
  let exact: ProxyView | undefined
  /** Frontends that are published and not in the plan any more: until when. Infinity: until after the commit. */
  const leaving = new Map<string, number>()
  let cancel = (): void => {}

  function publish(view: ProxyView): ProxyView {
    if (published !== undefined && sameContent(published, view)) return published
    generation += 1
    published = { ...view, generation }
    parts.server.publish(published)
    return published
  }

  function dropExpired(): void {
    for (const [key, untilMs] of leaving) if (untilMs <= clock.monotonicMs()) leaving.delete(key)
    if (exact !== undefined && published !== undefined)
      publish(unionView({ ...published, frontends: only(published.frontends, leaving) }, exact).view)
    waitForNext()
  }

  function waitForNext(): void {
    cancel()
    const nextMs = Math.min(...leaving.values())
    cancel = Number.isFinite(nextMs)
      ? clock.after(Math.max(0, nextMs - clock.monotonicMs()), dropExpired)
      : () => {}
  }

  return {
    async beforeCommit(plan) {
      const next = parts.viewOf(plan)
      exact = next
      const union = unionView(published ?? parts.base, next)
      for (const key of Object.keys(union.view.frontends)) {
        if (next.frontends[key] !== undefined) leaving.delete(key)
        else if (!leaving.has(key)) leaving.set(key, Infinity)
      }
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
      for (const [key, untilMs] of leaving)
        if (untilMs === Infinity) leaving.set(key, clock.monotonicMs() + lingerMs)
      waitForNext()
    },
    current: () => published,
    stop: () => cancel(),
  }
}

function only(frontends: ProxyView['frontends'], keys: ReadonlyMap<string, unknown>): ProxyView['frontends'] {
  return Object.fromEntries(Object.entries(frontends).filter(([key]) => keys.has(key)))
}

function sameContent(a: ProxyView, b: ProxyView): boolean {
  return equal(a.node, b.node) && equal(a.frontends, b.frontends) && equal(a.services, b.services)
}
