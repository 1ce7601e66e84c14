// The check that keeps the proxy from calling itself. The socket mark already keeps its upstream connections from being
// steered; this holds even if the mark is lost: an upstream is never an address that clients dial.

import type { Port } from '../../model/port.ts'
import { isNodeAddress, type LocalAddresses } from './client-kind.ts'
import { frontendKey } from './key.ts'
import type { ProxyView, ViewEndpoint } from './view.ts'

/** True if a connection to the endpoint could come back to this proxy. */
export function wouldLoop(
  endpoint: Pick<ViewEndpoint, 'ip' | 'port'>,
  view: ProxyView,
  local: LocalAddresses,
  listenerPort: Port,
): boolean {
  if (view.frontends[frontendKey(endpoint.ip, endpoint.port)] !== undefined) return true
  return mayLoop(endpoint, view, listenerPort) && isNodeAddress(endpoint.ip, view.node, local)
}

/** True if it would with the right address: what can be said once for each view, whatever the node's addresses are. */
export function mayLoop(
  { ip, port }: Pick<ViewEndpoint, 'ip' | 'port'>,
  view: ProxyView,
  listenerPort: Port,
): boolean {
  return (
    port === listenerPort ||
    view.frontends[frontendKey(undefined, port)] !== undefined ||
    view.frontends[frontendKey(ip, port)] !== undefined
  )
}
