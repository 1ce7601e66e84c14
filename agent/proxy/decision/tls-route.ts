// Which TLSRoute a server name belongs to: the exact host name before the longest wildcard before the route for every
// name (Gateway API, precedence of host names), and which of its backends by weight.

import type { Random } from '../../model/clock.ts'
import type { ViewTlsRoute } from './view.ts'

type Routes = readonly ViewTlsRoute[]

/** The list of a Service stands as long as the view names it. */
const tables = new WeakMap<Routes, ReadonlyMap<string, ViewTlsRoute>>()

/** `serverName` undefined: the client sent none, or speaks no TLS. */
export function findTlsRoute(routes: Routes, serverName: string | undefined): ViewTlsRoute | undefined {
  const table = tableOf(routes)
  const name = serverName?.toLowerCase().replace(/\.$/, '') ?? ''
  if (name !== '') {
    const exact = table.get(name)
    if (exact !== undefined) return exact
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const wildcard = dot === 0 ? undefined : table.get(`*${name.slice(dot)}`)
      if (wildcard !== undefined) return wildcard
    }
  }
  return table.get('')
}

/** In proportion to the weights; undefined: nothing has any. */
export function drawBackend(
  { backends }: ViewTlsRoute,
  draw: Random,
): ViewTlsRoute['backends'][number] | undefined {
  let total = 0
  for (const { weight } of backends) total += Math.max(0, weight)
  let at = draw() * total
  let last: ViewTlsRoute['backends'][number] | undefined
  for (const backend of backends) {
    if (!(backend.weight > 0)) continue
    last = backend
    at -= backend.weight
    if (at < 0) break
  }
  return last
}

/** Of two routes with the same host name the first counts. */
function tableOf(routes: Routes): ReadonlyMap<string, ViewTlsRoute> {
  let table = tables.get(routes)
  if (table === undefined) {
    const made = new Map<string, ViewTlsRoute>()
    for (const route of routes) {
      const name = route.hostname.toLowerCase()
      if (!made.has(name)) made.set(name, route)
    }
    tables.set(routes, made)
    table = made
  }
  return table
}
