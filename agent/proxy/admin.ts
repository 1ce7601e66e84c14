// What the proxy's admin socket answers. Serving HTTP is the composition root's business.

import type { ProxyConnections, ProxyStatus } from './admin-shapes.ts'
import type { ProxyView } from './decision/view.ts'
import type { ProxyEndpoints } from './endpoint-states.ts'

export interface AdminSources {
  readonly status: () => ProxyStatus
  readonly connections: () => ProxyConnections
  readonly endpoints: () => ProxyEndpoints
  readonly view: () => ProxyView | undefined
  /** Prometheus text. */
  readonly metrics: () => string
}

export type AdminReply =
  | { readonly kind: 'json'; readonly value: unknown; readonly status?: number }
  | { readonly kind: 'text'; readonly text: string }

export type AdminRoutes = Readonly<
  Record<
    'GET /status' | 'GET /connections' | 'GET /endpoints' | 'GET /view' | 'GET /metrics',
    () => AdminReply
  >
>

/** By method and path. /status answers even while nothing is served; /view is 503 until there is one. */
export function adminRoutes(sources: AdminSources): AdminRoutes {
  return {
    'GET /status': () => ({ kind: 'json', value: sources.status() }),
    'GET /connections': () => ({ kind: 'json', value: sources.connections() }),
    'GET /endpoints': () => ({ kind: 'json', value: sources.endpoints() }),
    'GET /view': () => {
      const view = sources.view()
      return view === undefined
        ? { kind: 'json', status: 503, value: { error: 'no view was loaded yet' } }
        : { kind: 'json', value: view }
    },
    'GET /metrics': () => ({ kind: 'text', text: sources.metrics() }),
  }
}
