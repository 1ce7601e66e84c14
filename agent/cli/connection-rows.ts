// One row for each connection to a Service, from conntrack or from the proxy. Pure.

import { hostPort, type Ip } from '../model/ip.ts'
import { STEERED_MARK, STEER_MARK_MASK } from '../model/steering-names.ts'
import type { Plan, ServicePortPlan } from '../plan/plan.ts'
import type { ConnectionRecord, LegRecord, ProxyConnections } from '../proxy/admin-shapes.ts'
import { endpointAddress } from './plan-text.ts'
import type { KernelConnection } from './ports.ts'

export interface ConnectionRow {
  readonly client: string
  readonly originalDestination: string
  /** Key of the Service port; '' if none has the destination. */
  readonly service: string
  /** '' while there is none. */
  readonly endpoint: string
  readonly state: string
  readonly decidedBy: 'kernel' | 'proxy'
  readonly why: string
  /** null: not known; conntrack keeps no age. */
  readonly ageSeconds: number | null
  readonly bytes: number | null
  /** `172.17.0.5:8080 ECONNREFUSED`, in order; empty for the kernel, which tries once. */
  readonly attempts: readonly string[]
  /** Of a connection that the proxy has or had. */
  readonly proxied: ProxiedPart | undefined
}

export interface ProxiedPart {
  /** Who connected, where a PROXY header named the client; null: the client itself. */
  readonly peer: string | null
  readonly worker: number
  /** Of the attempt that worked; null: none did (yet). */
  readonly connectMs: number | null
  /** When it ended; null: it lives, or the engine cannot tell. */
  readonly clientTcp: LegRecord | null
  readonly endpointTcp: LegRecord | null
}

/** Conntrack remembers connections for minutes after they ended. */
const OVER = new Set(['TIME_WAIT', 'CLOSE', 'LAST_ACK'])

/**
 * Conntrack's connections to addresses of the plan. Steered ones are left out: the proxy tells more of them, and what
 * it opens itself goes to endpoints, not to Service addresses.
 */
export function kernelRows(
  connections: readonly KernelConnection[],
  plan: Plan,
  localAddresses: ReadonlySet<Ip>,
  withEnded = false,
): readonly ConnectionRow[] {
  const index = frontendIndex(plan)
  return connections.flatMap((connection) => {
    if ((connection.mark & STEER_MARK_MASK) >>> 0 === STEERED_MARK) return []
    if (!withEnded && OVER.has(connection.state)) return []
    const { destination, protocol } = connection
    const port =
      index.get(frontendName(destination.ip, destination.port, protocol)) ??
      (localAddresses.has(destination.ip)
        ? index.get(frontendName(undefined, destination.port, protocol))
        : undefined)
    return port === undefined ? [] : [kernelRow(connection, port)]
  })
}

export function proxyRows(connections: ProxyConnections, withEnded: boolean): readonly ConnectionRow[] {
  return [...connections.live, ...(withEnded ? connections.ended : [])].map(proxyRow)
}

function kernelRow(connection: KernelConnection, port: ServicePortPlan): ConnectionRow {
  const endpoint = hostPort(connection.answering.ip, connection.answering.port)
  const translated = endpoint !== hostPort(connection.destination.ip, connection.destination.port)
  return {
    client: hostPort(connection.client.ip, connection.client.port),
    originalDestination: hostPort(connection.destination.ip, connection.destination.port),
    service: port.key,
    endpoint: translated ? endpoint : '',
    state: connection.state,
    decidedBy: 'kernel',
    why: translated
      ? kernelReason(port, endpoint)
      : 'not translated: opened before the rules, or without an endpoint',
    ageSeconds: null,
    bytes: connection.bytes ?? null,
    attempts: [],
    proxied: undefined,
  }
}

function kernelReason(port: ServicePortPlan, endpoint: string): string {
  const known = [...port.cluster, ...port.local].some((one) => endpointAddress(one) === endpoint)
  const chosen = port.affinitySeconds === undefined ? 'random' : 'affinity or random'
  return known ? chosen : `${chosen}; the endpoint has left since`
}

function proxyRow(record: ConnectionRecord): ConnectionRow {
  return {
    client: record.client,
    originalDestination: record.originalDestination,
    service: record.service ?? '',
    endpoint: record.endpoint ?? '',
    state: record.ended === null ? record.state : record.ended,
    decidedBy: 'proxy',
    why: [...(record.decidedBy?.why ?? []), ...failures(record)].join(', '),
    ageSeconds: Math.round(record.durationMs / 1000),
    bytes: record.fromClientBytes + record.fromEndpointBytes,
    attempts: record.attempts.map((attempt) => `${attempt.endpoint} ${attempt.result}`),
    proxied: {
      peer: record.peer,
      worker: record.worker,
      connectMs: record.attempts.find(({ result }) => result === 'connected')?.durationMs ?? null,
      clientTcp: record.tcp.client,
      endpointTcp: record.tcp.endpoint,
    },
  }
}

/** What was tried before the endpoint that has it. Each once: rounds over few endpoints repeat themselves. */
function failures(record: ConnectionRecord): readonly string[] {
  const counts = new Map<string, number>()
  for (const { endpoint, result } of record.attempts) {
    if (result === 'connected' || result === 'connecting') continue
    const failure = `${endpoint} failed with ${result}`
    counts.set(failure, (counts.get(failure) ?? 0) + 1)
  }
  return [...counts].map(([failure, count]) => (count === 1 ? failure : `${failure} ${count} times`))
}

function frontendIndex(plan: Plan): ReadonlyMap<string, ServicePortPlan> {
  const index = new Map<string, ServicePortPlan>()
  for (const family of Object.values(plan.families))
    for (const port of family.ports.values())
      for (const frontend of port.frontends)
        index.set(frontendName(frontend.ip, frontend.port, port.protocol), port)
  return index
}

function frontendName(ip: Ip | undefined, port: number, protocol: string): string {
  return `${ip ?? 'node'}|${port}|${protocol}`
}
