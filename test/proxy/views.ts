// Builders of views and flows for the proxy's tests.

import type { ServicePortKey } from '#agent/model/ids.ts'
import { parseIp, type Ip } from '#agent/model/ip.ts'
import type { Cidr } from '#agent/model/cidr.ts'
import { DEFAULT_CONNECTION_POLICY, type ConnectPolicy } from '#agent/model/connection-policy.ts'
import type { DecideState } from '#agent/proxy/decision/decide.ts'
import type { ConnectDecision, Flow } from '#agent/proxy/decision/decision.ts'
import { endpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import type { Candidate } from '#agent/proxy/decision/pool.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import type {
  PoolName,
  ProxyView,
  ViewEndpoint,
  ViewFrontend,
  ViewService,
} from '#agent/proxy/decision/view.ts'

export const WEB = 'default/web/TCP' as ServicePortKey

export function ip(text: string): Ip {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(`${text} is not an address`)
  return parsed
}

/** `10.0.0.1:80` or `fd00::1.80` style is not needed: the last colon parts address and port. */
export function endpoint(text: string, local = false): ViewEndpoint {
  const at = text.lastIndexOf(':')
  return { ip: ip(text.slice(0, at)), port: Number(text.slice(at + 1)), local }
}

export function candidate(text: string): Candidate {
  const made = endpoint(text)
  return { ...made, key: endpointKey(made) }
}

export function connectDecision(
  candidates: ConnectDecision['candidates'],
  connect: Partial<ConnectPolicy> = {},
): ConnectDecision {
  return {
    kind: 'connect',
    service: WEB,
    frontend: '10.96.0.10|80',
    frontendKind: 'ClusterIP',
    clientKind: 'pod',
    client: { ip: ip('10.244.1.7'), port: 5000 },
    candidates,
    roundComplete: true,
    policy: { ...DEFAULT_CONNECTION_POLICY, connect: { ...DEFAULT_CONNECTION_POLICY.connect, ...connect } },
    affinitySeconds: undefined,
    sticky: 'none',
    tlsRoute: undefined,
    skipBytes: 0,
    pool: 'cluster',
    poolSize: candidates.length,
    ejected: 0,
    panic: false,
  }
}

export function frontend(
  kind: ViewFrontend['kind'] = 'ClusterIP',
  pool: PoolName | ViewFrontend['pool'] = 'cluster',
  service: ServicePortKey = WEB,
): ViewFrontend {
  return { service, kind, pool: typeof pool === 'string' ? { pod: pool, host: pool, outside: pool } : pool }
}

export function service(
  endpoints: readonly string[],
  options: Partial<Omit<ViewService, 'cluster'>> = {},
): ViewService {
  return { key: WEB, cluster: endpoints.map((each) => endpoint(each)), local: [], ...options }
}

export function view(options: Partial<ProxyView> = {}): ProxyView {
  return {
    version: 2,
    epoch: 'e1',
    generation: 1,
    node: { name: 'node-a', podCidrs: ['10.244.1.0/24' as Cidr], addresses: [ip('192.168.0.10')] },
    frontends: {
      '10.96.0.10|80': frontend(),
      'node|30080': frontend('NodePort', { pod: 'cluster', host: 'cluster', outside: 'local' }),
    },
    services: { [WEB]: service(['10.244.1.2:8080', '10.244.2.3:8080', '10.244.3.4:8080']) },
    ...options,
  }
}

export function flow(client: string, destination: string): Flow {
  const from = endpoint(client)
  const to = endpoint(destination)
  return { client: { ip: from.ip, port: from.port }, destination: { ip: to.ip, port: to.port } }
}

export function decideState(options: Partial<DecideState> = {}): DecideState {
  return {
    nowMs: 0,
    affinity: new AffinityTable(),
    traffic: new Traffic(),
    local: { has: (each) => each === '172.18.0.1' },
    listenerPort: 15001,
    openConnections: 0,
    maxConnections: 100,
    draining: false,
    ...options,
  }
}
