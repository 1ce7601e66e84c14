// What is counted of one Service port, with every series looked up once: a connection costs a few additions. Bytes of
// living connections are the engines' until somebody asks for the metrics.

import type { MetricName, Metrics, ScrapedMetrics } from '../model/metrics.ts'
import type { RelayedBytes } from './engine/engine.ts'

export class ServiceMeters {
  readonly connectSeconds: (value: number) => void
  readonly #metrics: Metrics
  readonly #service: string
  readonly #accepted: () => void
  readonly #lifeSeconds: (value: number) => void
  readonly #attempts: ByLabel
  readonly #outcomes: ByLabel
  /** Of connections that ended. */
  readonly #ended = { fromClient: 0, fromEndpoint: 0 }
  /** Of those that live, while they are added up. */
  readonly #live = { fromClient: 0, fromEndpoint: 0 }
  #open = 0

  /** `service` '': connections that belong to none. */
  constructor(metrics: Metrics, service: string) {
    this.#metrics = metrics
    this.#service = service
    this.#accepted = metrics.counter('shunt_proxy_connections_total', { service })
    this.connectSeconds = metrics.histogram('shunt_proxy_connect_seconds', { service })
    this.#lifeSeconds = metrics.histogram('shunt_proxy_connection_seconds', { service })
    this.#attempts = byLabel(metrics, 'shunt_proxy_connect_attempts_total', service, 'result')
    this.#outcomes = byLabel(metrics, 'shunt_proxy_connections_ended_total', service, 'outcome')
  }

  /** Connections that have not ended. */
  get open(): number {
    return this.#open
  }

  accepted(): void {
    this.#open++
    this.#accepted()
  }

  attempted(result: string): void {
    this.#attempts(result)()
  }

  /** What came of the wish for another round: `waited`, or why not. */
  retried(result: string): void {
    this.#metrics.add('shunt_proxy_retries_total', { service: this.#service, result })
  }

  ejected(): void {
    this.#metrics.add('shunt_proxy_ejections_total', { service: this.#service })
  }

  limited(limit: 'connections' | 'client'): void {
    this.#metrics.add('shunt_proxy_limit_refusals_total', { service: this.#service, limit })
  }

  ended(outcome: string, { fromClient, fromEndpoint }: RelayedBytes, durationUs: number): void {
    this.#open--
    this.#outcomes(outcome)()
    this.#lifeSeconds(durationUs / 1e6)
    this.#ended.fromClient += fromClient
    this.#ended.fromEndpoint += fromEndpoint
  }

  addLive({ fromClient, fromEndpoint }: RelayedBytes): void {
    this.#live.fromClient += fromClient
    this.#live.fromEndpoint += fromEndpoint
  }

  /** Once every living connection was added. */
  publishBytes(metrics: ScrapedMetrics): void {
    const publish = (direction: string, way: keyof RelayedBytes): void => {
      const total = this.#ended[way] + this.#live[way]
      metrics.total('shunt_proxy_bytes_total', total, { service: this.#service, direction })
      this.#live[way] = 0
    }
    publish('from_client', 'fromClient')
    publish('from_endpoint', 'fromEndpoint')
  }
}

type ByLabel = (value: string) => () => void

function byLabel(metrics: Metrics, name: MetricName, service: string, label: string): ByLabel {
  const series = new Map<string, () => void>()
  return (value) => {
    let found = series.get(value)
    if (found === undefined) {
      found = metrics.counter(name, { service, [label]: value })
      series.set(value, found)
    }
    return found
  }
}
