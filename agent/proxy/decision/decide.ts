// What happens to one new connection: synchronous, pure, total. Everything that it looks at is an argument, so that the
// same function answers for the proxy, for tests and for an operator who asks why.

import type { Random } from '../../model/clock.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import { familyOf, hostPort, type Ip } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import { SELFTEST_IPV4, SELFTEST_IPV6, SELFTEST_PORT } from '../../model/steering-names.ts'
import type { AffinityTable } from './affinity.ts'
import { clientKind, isNodeAddress, type ClientKind, type LocalAddresses } from './client-kind.ts'
import { frontendKey } from './key.ts'
import { wouldLoop } from './loop.ts'
import { RANDOM_PICKER, type Picker } from './picker.ts'
import type { ProxyView, ViewEndpoint, ViewFrontend } from './view.ts'

/** A connection that was accepted; `destination` is what the client dialled. */
export interface Flow {
  readonly client: { readonly ip: Ip; readonly port: Port }
  readonly destination: { readonly ip: Ip; readonly port: Port }
}

export type Decision = ConnectDecision | { readonly kind: 'selftest' } | RefuseDecision

export interface ConnectDecision {
  readonly kind: 'connect'
  readonly service: ServicePortKey
  /** Key of ProxyView.frontends. */
  readonly frontend: string
  readonly clientKind: ClientKind
  /** At least one, each once, in the order in which to try them. */
  readonly candidates: readonly ViewEndpoint[]
  /** For each attempt but the last possible one, which gets all the time that is left. */
  readonly connectTimeoutMs: number
  /** For all attempts together. */
  readonly deadlineMs: number
  /** What to remember once an endpoint took the connection; undefined: the Service has no affinity. */
  readonly affinitySeconds: number | undefined
  /** Steps of the decision as short texts, for the decision record. */
  readonly why: readonly string[]
}

export interface RefuseDecision {
  readonly kind: 'refuse'
  readonly because: Refusal
  readonly how: 'reset'
  readonly why: readonly string[]
}

export type Refusal =
  /** Nobody dials this address through the proxy: a spoofed mark, or a view that is older than the rules. */
  | 'no-frontend'
  /** The pool for this kind of client is empty. */
  | 'no-endpoints'
  /** Every endpoint of the pool leads back to this proxy. */
  | 'loop'
  /** Dialled the proxy's own port. */
  | 'direct'
  /** As many connections are open as the proxy may have. */
  | 'overload'
  /** The proxy stops, and its time for late arrivals is over. */
  | 'draining'

/** The part of the proxy's state that decisions read. */
export interface DecideState {
  /** Monotonic. */
  readonly nowMs: number
  readonly affinity: Pick<AffinityTable, 'find'>
  readonly local: LocalAddresses
  readonly listenerPort: Port
  readonly openConnections: number
  readonly maxConnections: number
  readonly draining: boolean
  readonly timeouts: ConnectTimeouts
  /** Default: random. */
  readonly picker?: Picker
}

export interface ConnectTimeouts {
  readonly connectTimeoutMs: number
  readonly deadlineMs: number
}

/**
 * An attempt outlives the first repetition of a lost SYN, which Linux sends after 1 s; the deadline is what impatient
 * clients wait for a connection.
 */
export const DEFAULT_CONNECT_TIMEOUTS: ConnectTimeouts = { connectTimeoutMs: 2_000, deadlineMs: 10_000 }

/** `view` undefined: the proxy has none yet. */
export function decide(flow: Flow, view: ProxyView | undefined, state: DecideState, draw: Random): Decision {
  const { client, destination } = flow
  if (view === undefined) return refuse('no-frontend', 'no view was loaded yet')
  if (destination.port === state.listenerPort && isNodeAddress(destination.ip, view.node, state.local))
    return refuse('direct', `the proxy's own port ${destination.port} was dialled`)
  const kind = clientKind(client.ip, destination.ip, view.node, state.local)
  if (isSelfTest(destination)) {
    return kind === 'outside'
      ? refuse('no-frontend', 'a self-test from outside of the node')
      : { kind: 'selftest' }
  }
  if (state.draining) return refuse('draining', 'the proxy stops')
  if (state.openConnections >= state.maxConnections)
    return refuse('overload', `${state.maxConnections} connections are open`)

  const found = findFrontend(destination, view, state.local)
  if (found === undefined)
    return refuse('no-frontend', `nothing is served at ${hostPort(destination.ip, destination.port)}`)
  const poolName = found.frontend.pool[kind]
  const service = view.services[found.frontend.service]
  // A Service of both families has one pool for both.
  const family = familyOf(destination.ip)
  const pool = (service?.[poolName] ?? []).filter((endpoint) => familyOf(endpoint.ip) === family)
  const why = [
    `frontend ${found.frontend.kind} ${found.key}`,
    `client ${kind}`,
    `pool ${poolName} of ${pool.length}`,
  ]
  if (service === undefined || pool.length === 0) return refuse('no-endpoints', ...why)
  const usable = pool.filter((endpoint) => !wouldLoop(endpoint, view, state.local, state.listenerPort))
  if (usable.length === 0) return refuse('loop', ...why, 'every endpoint is an address of this proxy')

  const picker = state.picker ?? RANDOM_PICKER
  const order = picker.order(usable, draw)
  const sticky =
    service.affinitySeconds === undefined
      ? undefined
      : state.affinity.find(service.key, client.ip, state.nowMs)
  const first = sticky && order.find((endpoint) => endpoint.ip === sticky.ip && endpoint.port === sticky.port)
  return {
    kind: 'connect',
    service: service.key,
    frontend: found.key,
    clientKind: kind,
    candidates: first === undefined ? order : [first, ...order.filter((endpoint) => endpoint !== first)],
    connectTimeoutMs: state.timeouts.connectTimeoutMs,
    deadlineMs: state.timeouts.deadlineMs,
    affinitySeconds: service.affinitySeconds,
    why: [...why, first === undefined ? picker.name : 'affinity'],
  }
}

function findFrontend(
  destination: Flow['destination'],
  view: ProxyView,
  local: LocalAddresses,
): { readonly key: string; readonly frontend: ViewFrontend } | undefined {
  const own = frontendKey(destination.ip, destination.port)
  const exact = view.frontends[own]
  if (exact !== undefined) return { key: own, frontend: exact }
  // NodePorts come after all other addresses (row 15).
  const anyAddress = frontendKey(undefined, destination.port)
  const nodePort = view.frontends[anyAddress]
  if (nodePort === undefined || !isNodeAddress(destination.ip, view.node, local)) return undefined
  return { key: anyAddress, frontend: nodePort }
}

function isSelfTest({ ip, port }: Flow['destination']): boolean {
  return port === SELFTEST_PORT && (ip === SELFTEST_IPV4 || ip === SELFTEST_IPV6)
}

function refuse(because: Refusal, ...why: readonly string[]): RefuseDecision {
  return { kind: 'refuse', because, how: 'reset', why }
}
