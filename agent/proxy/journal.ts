// Writes down what happens to connections: metrics, a line of the access log for each that ended, and log lines for what
// an operator should see, one for each kind and interval however often it happens.

import type { Clock } from '../model/clock.ts'
import { hostPort, type Ip } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics, ScrapedMetrics } from '../model/metrics.ts'
import type { ConnectionRecord } from './admin-shapes.ts'
import type { Connection, ConnectionEnd } from './connection.ts'
import { recordOf, serviceOf } from './connection-record.ts'
import type { ConnectionTable } from './connection-table.ts'
import { endpointText } from './decision/endpoint-key.ts'
import type { Ejection } from './decision/service-traffic.ts'
import type { ProxyView } from './decision/view.ts'
import { EndpointMeters } from './endpoint-meters.ts'
import type { SocketAddress } from './engine/engine.ts'
import { LogGate } from './log-gate.ts'
import { ServiceMeters } from './service-meters.ts'

export interface JournalParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Gets every connection that ended, but no self-test. */
  readonly accessLog?: (record: ConnectionRecord) => void
  /** Endpoints that have metrics of their own at most; default 0. */
  readonly endpointMetrics?: number
}

export class Journal {
  readonly #parts: JournalParts
  readonly #gate: LogGate
  readonly #services = new Map<string, ServiceMeters>()
  readonly #none: ServiceMeters
  readonly #endpoints: EndpointMeters
  readonly #refused = new Map<string, number>()

  constructor(parts: JournalParts) {
    this.#parts = parts
    this.#gate = new LogGate(parts.clock)
    this.#none = new ServiceMeters(parts.metrics, '')
    this.#endpoints = new EndpointMeters(parts.metrics, parts.endpointMetrics ?? 0)
  }

  metersOf(service: string): ServiceMeters {
    let meters = this.#services.get(service)
    if (meters === undefined) {
      meters = new ServiceMeters(this.#parts.metrics, service)
      this.#services.set(service, meters)
    }
    return meters
  }

  /** By reason, since the start. */
  refusals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused)
  }

  refused(
    { client, destination, decision, meters }: Connection,
    because: string,
    why: readonly string[],
  ): void {
    this.#count(because)
    if (because === 'limit') meters?.limited('connections')
    if (because === 'client-limit') meters?.limited('client')
    const service = serviceOf(decision)
    this.#gate.pass(because, (suppressed) =>
      this.#parts.log.info(
        { client: textOf(client), destination: textOf(destination), service, because, why, suppressed },
        `connection refused: ${because}`,
      ),
    )
  }

  /** `result`: `connected`, `cancelled` or the name of an errno. */
  attempted({ decision, meters }: Connection, endpoint: SocketAddress, result: string): void {
    meters?.attempted(result)
    const service = serviceOf(decision)
    if (service !== undefined && result !== 'cancelled')
      this.#endpoints.attempted(service, endpoint, result === 'connected')
  }

  /** No endpoint took it. */
  failed(connection: Connection, because: string): void {
    this.#gate.pass(`${because} ${serviceOf(connection.decision) ?? ''}`, (suppressed) =>
      this.#parts.log.info(
        { ...recordOf(connection, this.#parts.clock), suppressed },
        `connection failed: ${because}`,
      ),
    )
  }

  ejected({ decision, meters }: Connection, { endpoint, forMs, times }: Ejection): void {
    meters?.ejected()
    const service = serviceOf(decision)
    this.#gate.pass(`ejected ${endpoint} ${service ?? ''}`, (suppressed) =>
      this.#parts.log.warn(
        { service, endpoint: endpointText(endpoint), forMs: Math.round(forMs), times, suppressed },
        'an endpoint is ejected: it refused connections in a row',
      ),
    )
  }

  /** What came of looking at first bytes. */
  looked(lookedFor: 'proxy-header' | 'tls-hello', result: string): void {
    this.#parts.metrics.add('shunt_proxy_first_bytes_total', { looked_for: lookedFor, result })
  }

  defect(error: unknown): void {
    this.#gate.pass('defect', (suppressed) =>
      this.#parts.log.error({ error, suppressed }, 'a bug was met; its connection is reset'),
    )
  }

  acceptFailed(worker: number, code: string, times: number): void {
    this.#count(`accept ${code}`, times)
    const meaning =
      code === 'ENOSPC' ? 'connections were reset: the engine is full' : 'connections wait: accept failed'
    this.#gate.pass(`accept ${code}`, (suppressed) =>
      this.#parts.log.warn({ worker, code, times, suppressed }, meaning),
    )
  }

  ended(connection: Connection, { because, bytes, durationUs }: ConnectionEnd): void {
    const outcome = because.startsWith('refused') ? 'refused' : because
    ;(connection.meters ?? this.#none).ended(outcome, bytes, durationUs)
    if (because !== 'selftest') this.#parts.accessLog?.(recordOf(connection, this.#parts.clock))
  }

  /** What is asked for rather than kept: bytes of living connections, what is open. Forgets Services that are gone. */
  publish(metrics: ScrapedMetrics, table: ConnectionTable, view: ProxyView | undefined): void {
    metrics.set('shunt_proxy_connections_active', table.size)
    table.forEachLive(({ state, meters, worker, id }) => {
      if (state.kind === 'relaying') meters?.addLive(worker.engine.bytes(id))
    })
    for (const meters of this.#services.values()) meters.publishBytes(metrics)
    if (view === undefined) return
    const isOver = (service: string): boolean =>
      view.services[service as keyof typeof view.services] === undefined &&
      (this.#services.get(service)?.open ?? 0) === 0
    metrics.forget('service', isOver)
    this.#endpoints.prune(metrics, view)
    for (const service of this.#services.keys()) if (isOver(service)) this.#services.delete(service)
  }

  #count(reason: string, times = 1): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + times)
    this.#parts.metrics.add('shunt_proxy_refused_total', { reason }, times)
  }
}

/** Of one line, as everywhere else; undefined stays so. */
function textOf(address: { readonly ip: Ip; readonly port: number } | undefined): string | undefined {
  return address === undefined ? undefined : hostPort(address.ip, address.port)
}
