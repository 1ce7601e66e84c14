// Which Service ports a Gateway API route selects, and what a TLSRoute says of them. The rules of the other kinds are not
// read yet.

import { byAge, type Attachment } from './attachment.ts'
import type { ServiceId } from './ids.ts'
import type { Port } from './port.ts'

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TCPRoute' | 'TLSRoute'

/** A Gateway API route with a Service as parent (GAMMA). */
export interface RouteAttachment extends Attachment {
  readonly kind: RouteKind
  /** Of a TLSRoute in the Service's own namespace alone. */
  readonly tls?: TlsRule
}

export interface TlsRule {
  /** Lower case, each once; `*.` in front for any one or more labels. [''] for every name and for none. */
  readonly hostnames: readonly string[]
  readonly backends: readonly TlsBackend[]
}

export interface TlsBackend {
  /** undefined: a kind of backend that is not a Service. */
  readonly target: { readonly service: ServiceId; readonly port: Port } | undefined
  readonly weight: number
}

/** What a ReferenceGrant allows: TLSRoutes of one namespace to refer to Services of another. */
export interface ReferenceGrant {
  /** Where the grant and the Services are. */
  readonly namespace: string
  readonly from: string
  /** undefined: every Service of the namespace. */
  readonly service?: ServiceId
}

/** `from`: the route's namespace. Inside a namespace no grant is needed. */
export function isGranted(grants: readonly ReferenceGrant[], from: string, to: ServiceId): boolean {
  const namespace = namespaceOf(to)
  if (namespace === from) return true
  return grants.some(
    (grant) =>
      grant.namespace === namespace &&
      grant.from === from &&
      (grant.service === undefined || grant.service === to),
  )
}

export function namespaceOf(id: string): string {
  return id.slice(0, id.indexOf('/'))
}

/** One host name of one route: what the proxy looks up. */
export interface TlsRouteEntry {
  readonly hostname: string
  readonly route: RouteAttachment & { readonly tls: TlsRule }
}

/**
 * The order in which host names are tried: exact before wildcards, the longer wildcard before the shorter, every name
 * last. Of the same name the older route stands and the others are not in the list.
 */
export function tlsEntries(routes: readonly RouteAttachment[]): TlsRouteEntry[] {
  const entries = new Map<string, TlsRouteEntry>()
  for (const route of [...routes].sort(byAge)) {
    if (!hasTls(route)) continue
    for (const hostname of route.tls.hostnames)
      if (!entries.has(hostname)) entries.set(hostname, { hostname, route })
  }
  return [...entries.values()].sort((a, b) => byPrecision(a.hostname, b.hostname))
}

/**
 * Of the routes that select one port, HTTPRoutes and GRPCRoutes beat TLSRoutes, which are then not looked at (GEP-1294).
 * Only those of the Service's own namespace do: others concern the clients of theirs.
 */
export function isDisplaced(routes: readonly RouteAttachment[]): boolean {
  return routes.some(
    ({ kind, id, service }) =>
      (kind === 'HTTPRoute' || kind === 'GRPCRoute') && namespaceOf(id) === namespaceOf(service),
  )
}

function hasTls(route: RouteAttachment): route is RouteAttachment & { readonly tls: TlsRule } {
  return route.tls !== undefined
}

function byPrecision(a: string, b: string): number {
  const wildcard = Number(isWildcard(a)) - Number(isWildcard(b))
  return wildcard || b.length - a.length || (a < b ? -1 : 1)
}

function isWildcard(hostname: string): boolean {
  return hostname === '' || hostname.startsWith('*.')
}
