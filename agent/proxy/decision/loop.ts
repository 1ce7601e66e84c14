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
  const mayBeHere =
    endpoint.port === listenerPort || view.frontends[frontendKey(undefined, endpoint.port)] !== undefined
  return mayBeHere && isNodeAddress(endpoint.ip, view.node, local)
}
