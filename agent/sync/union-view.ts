// The view between two others: everything of the new one, and what only the old one had. The proxy serves it while the
// kernel may still steer what is about to go, and may already steer what has just come.

import type { ProxyView, ViewFrontend, ViewService } from '../proxy/decision/view.ts'
import type { ServicePortKey } from '../model/ids.ts'

export interface UnionView {
  readonly view: ProxyView
  /** True if `next` lacks frontends that `before` had: then the union is not what the proxy should serve in the end. */
  readonly removes: boolean
  /** True if the kernel could steer something that a proxy with `before` does not know. */
  readonly adds: boolean
}

/** Where both have a frontend or a Service port, `next` says what it is. */
export function unionView(before: ProxyView | undefined, next: ProxyView): UnionView {
  const old = before?.frontends ?? {}
  const adds = Object.keys(next.frontends).some((key) => old[key] === undefined)
  const kept = Object.entries(old).filter(([key]) => next.frontends[key] === undefined)
  if (before === undefined || kept.length === 0) return { view: next, removes: false, adds }
  const frontends: Record<string, ViewFrontend> = { ...next.frontends }
  const services: Record<ServicePortKey, ViewService> = { ...next.services }
  for (const [key, frontend] of kept) {
    frontends[key] = frontend
    const service = before.services[frontend.service]
    if (service === undefined) continue
    services[frontend.service] ??= service
    for (const backend of backendsOf(service)) {
      const old = before.services[backend]
      if (old !== undefined) services[backend] ??= old
    }
  }
  return { view: { ...next, frontends, services }, removes: true, adds }
}

function backendsOf({ tlsRoutes }: ViewService): ServicePortKey[] {
  return (tlsRoutes ?? []).flatMap(({ backends }) =>
    backends.flatMap(({ service }) => (service === null ? [] : [service])),
  )
}
