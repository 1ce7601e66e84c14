// What happens to one new connection: synchronous and total. Everything that it looks at is an argument, so that the same
// function answers for the proxy, for tests and for an operator who asks why. It may have to be asked again: with what
// the first bytes said, and after all candidates failed.

import type { Random } from '../../model/clock.ts'
import { cidrContains } from '../../model/cidr.ts'
import { DEFAULT_CONNECTION_POLICY } from '../../model/connection-policy.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import { familyOf, hostPort } from '../../model/ip.ts'
import type { Port } from '../../model/port.ts'
import { SELFTEST_IPV4, SELFTEST_IPV6, SELFTEST_PORT } from '../../model/steering-names.ts'
import type { AffinityTable } from './affinity.ts'
import { choose } from './choose.ts'
import { clientKind, isNodeAddress, type ClientKind, type LocalAddresses } from './client-kind.ts'
import {
  refuse,
  type Decision,
  type Flow,
  type PeekDecision,
  type Peeked,
  type Refusal,
  type RefuseDecision,
  type TrueClient,
} from './decision.ts'
import { endpointKey } from './endpoint-key.ts'
import { frontendKey } from './key.ts'
import { NOT_TRIED, type RetryProgress } from './retry.ts'
import { drawBackend, findTlsRoute } from './tls-route.ts'
import type { Traffic } from './traffic.ts'
import type { PoolName, ProxyView, ViewFrontend, ViewService } from './view.ts'

/** The part of the proxy's state that decisions read. */
export interface DecideState {
  /** Monotonic. */
  readonly nowMs: number
  readonly affinity: Pick<AffinityTable, 'find'>
  /** Decisions leave there what they derive from the view, and where a rotation is; nothing else. */
  readonly traffic: Traffic
  readonly local: LocalAddresses
  readonly listenerPort: Port
  readonly openConnections: number
  readonly maxConnections: number
  readonly draining: boolean
  /** Default: MAX_CANDIDATES. */
  readonly maxCandidates?: number
}

/** What a decision on the same connection before led to. */
export interface Earlier {
  /** What the first bytes said; undefined: nobody looked. */
  readonly peeked?: Peeked | undefined
  /** After candidates failed. */
  readonly progress?: RetryProgress | undefined
  /** The Service port of the earlier decision, which a weighted route keeps to. */
  readonly service?: ServicePortKey | undefined
}

/** An engine takes no more at once. */
export const MAX_CANDIDATES = 6

/** `view` undefined: the proxy has none yet. */
export function decide(
  flow: Flow,
  view: ProxyView | undefined,
  state: DecideState,
  draw: Random,
  earlier: Earlier = {},
): Decision {
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
  // What was let in once may go on.
  const isNew = earlier.peeked === undefined && earlier.progress === undefined
  if (isNew && state.draining) return refuse('draining', 'the proxy stops')
  if (isNew && state.openConnections >= state.maxConnections)
    return refuse('overload', `${state.maxConnections} connections are open`)

  const found = findFrontend(destination, view, state.local)
  if (found === undefined)
    return refuse('no-frontend', `nothing is served at ${hostPort(destination.ip, destination.port)}`)
  const dialled = { ...found, clientKind: kind }
  const service = view.services[found.frontend.service]
  if (service === undefined) return refuseAt(dialled, 'no-endpoints', 'its Service is not in the view')

  const wanted = wantedBytes(service, flow)
  const { peeked } = earlier
  if (wanted.proxyHeader && peeked !== undefined && peeked.proxy === undefined)
    return refuseAt(dialled, 'no-proxy-header', missingHeader(peeked))
  // Both at once, also if one was read before the view wanted the other: the second lies behind the first.
  if ((wanted.proxyHeader && peeked?.proxy === undefined) || (wanted.tls && peeked?.tls === undefined))
    return { kind: 'peek', service: service.key, wanted, timeoutMs: policyOf(service).connect.deadlineMs }
  const target = findTarget(service, dialled, view, earlier, draw)
  return target.kind === 'refuse' ? target : connect(flow, dialled, target, view, state, draw, earlier)
}

function missingHeader({ noProxyHeader }: Peeked): string {
  const because = noProxyHeader === undefined ? '' : `: ${noProxyHeader}`
  return `its source must send a PROXY header${because}`
}

interface Dialled {
  readonly key: string
  readonly frontend: ViewFrontend
  readonly clientKind: ClientKind
}

interface Target {
  readonly kind: 'target'
  readonly service: ViewService
  readonly pool: PoolName
  readonly tlsRoute: string | undefined
  readonly serverName?: string
}

/** What the first bytes must say. */
function wantedBytes(service: ViewService, { client }: Flow): PeekDecision['wanted'] {
  const { acceptFrom } = policyOf(service).proxyProtocol
  return {
    proxyHeader: acceptFrom.some((cidr) => cidrContains(cidr, client.ip)),
    tls: service.tlsRoutes !== undefined,
  }
}

/** The frontend's own Service port, or the backend that a TLSRoute names for the connection. */
function findTarget(
  service: ViewService,
  dialled: Dialled,
  view: ProxyView,
  earlier: Earlier,
  draw: Random,
): Target | RefuseDecision {
  const pool = dialled.frontend.pool[dialled.clientKind]
  const { tlsRoutes } = service
  const tls = earlier.peeked?.tls
  if (tlsRoutes === undefined) return { kind: 'target', service, pool, tlsRoute: undefined }
  const name = tls?.kind === 'hello' ? tls.serverName : undefined
  const route = findTlsRoute(tlsRoutes, name)
  const steps = [nameStep(tls)]
  if (route === undefined) return refuseAt(dialled, 'no-route', ...steps, 'no TLSRoute is for this name')
  const kept = route.backends.find(
    (each) => each.service !== null && each.service === earlier.service && each.weight > 0,
  )
  const backend = kept ?? drawBackend(route, draw)
  steps.push(`TLSRoute ${route.route}`)
  if (backend === undefined)
    return refuseAt(dialled, 'no-backend', ...steps, 'it has no backend with a weight')
  if (backend.service === null)
    return refuseAt(dialled, 'no-backend', ...steps, 'the backend that was drawn is not valid')
  const target = view.services[backend.service]
  if (target === undefined)
    return refuseAt(dialled, 'no-backend', ...steps, `${backend.service} is not in the view`)
  return {
    kind: 'target',
    service: target,
    pool: backend.pool,
    tlsRoute: route.route,
    ...(name === undefined ? {} : { serverName: name }),
  }
}

function nameStep(tls: Peeked['tls']): string {
  if (tls?.kind === 'hello') return `server name ${tls.serverName ?? '(none)'}`
  return `no server name${tls?.because === undefined ? '' : `: ${tls.because}`}`
}

function connect(
  flow: Flow,
  dialled: Dialled,
  { service, pool, tlsRoute, serverName }: Target,
  view: ProxyView,
  state: DecideState,
  draw: Random,
  { peeked, progress = NOT_TRIED }: Earlier,
): Decision {
  const { nowMs, local, listenerPort, maxCandidates = MAX_CANDIDATES } = state
  const traffic = state.traffic.of(service.key)
  // A Service of both families has one pool for both.
  const poolState = traffic.pools.of(pool, familyOf(flow.destination.ip))
  const around = { view, edition: state.traffic.edition(view), local, listenerPort }
  const poolSize = poolState.read(service[pool], around)
  const refuseHere = (because: Refusal, ...why: readonly string[]): RefuseDecision => ({
    ...refuseAt(dialled, because, ...routeSteps(tlsRoute, service), `pool ${pool} of ${poolSize}`, ...why),
    service: service.key,
  })
  if (poolSize === 0) return refuseHere('no-endpoints')
  if (poolState.weighted.members.length === 0)
    return refuseHere('loop', 'every endpoint is an address of this proxy')
  const client: TrueClient = peeked?.proxy?.client ?? flow.client
  const policy = policyOf(service)
  const { affinitySeconds } = service
  const had = affinitySeconds === undefined ? undefined : state.affinity.find(service.key, client.ip, nowMs)
  const sticky = had === undefined ? undefined : endpointKey(had)
  const choice = choose(poolState, {
    traffic,
    policy,
    client: client.ip,
    sticky,
    progress,
    maxCandidates,
    nowMs,
    draw,
  })
  if (choice === undefined) return refuseHere('ejected', 'every endpoint is ejected')
  return {
    kind: 'connect',
    service: service.key,
    frontend: dialled.key,
    frontendKind: dialled.frontend.kind,
    clientKind: dialled.clientKind,
    client,
    candidates: choice.candidates,
    roundComplete: choice.roundComplete,
    policy,
    affinitySeconds,
    sticky: choice.sticky,
    tlsRoute,
    ...(serverName === undefined ? {} : { serverName }),
    skipBytes: peeked?.proxy?.headerBytes ?? 0,
    pool,
    poolSize,
    ejected: choice.ejected,
    panic: choice.panic,
  }
}

function policyOf({ policy = DEFAULT_CONNECTION_POLICY }: ViewService): NonNullable<ViewService['policy']> {
  return policy
}

/** From here on the Service is known. */
function refuseAt(dialled: Dialled, because: Refusal, ...why: readonly string[]): RefuseDecision {
  const { frontend, key } = dialled
  return { ...refuse(because, ...stepsOf(dialled), ...why), service: frontend.service, frontend: key }
}

function routeSteps(tlsRoute: string | undefined, { key }: ViewService): readonly string[] {
  return tlsRoute === undefined ? [] : [`TLSRoute ${tlsRoute} to ${key}`]
}

function stepsOf({ key, frontend, clientKind: kind }: Dialled): readonly string[] {
  return [`frontend ${frontend.kind} ${key}`, `client ${kind}`]
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
