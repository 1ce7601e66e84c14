// Connection attempts by endpoint, for those who asked for it (--endpoint-metrics). Addresses of Pods come and go all the
// time, so the number of series is bounded twice: at most so many endpoints at a time, and none that left the view.

import { hostPort, type Ip } from '../model/ip.ts'
import type { Metrics, ScrapedMetrics } from '../model/metrics.ts'
import type { Port } from '../model/port.ts'
import type { ProxyView } from './decision/view.ts'

interface Address {
  readonly ip: Ip
  readonly port: Port
}

interface Counters {
  readonly connected: () => void
  readonly failed: () => void
}

export class EndpointMeters {
  readonly #metrics: Metrics
  readonly #maxEndpoints: number
  /** By Service, then by `ip:port`. */
  readonly #services = new Map<string, Map<string, Counters>>()
  #size = 0
  #pruned: ProxyView | undefined

  /** `maxEndpoints` 0: nothing is counted. Those beyond are counted together, as `other` of their Service. */
  constructor(metrics: Metrics, maxEndpoints: number) {
    this.#metrics = metrics
    this.#maxEndpoints = maxEndpoints
  }

  attempted(service: string, endpoint: Address, worked: boolean): void {
    if (this.#maxEndpoints === 0) return
    const counters = this.#of(service, hostPort(endpoint.ip, endpoint.port))
    if (worked) counters.connected()
    else counters.failed()
  }

  /** Forgets endpoints that are not in the view; cheap if the view is that of the last time. */
  prune(metrics: ScrapedMetrics, view: ProxyView): void {
    if (this.#size === 0 || view === this.#pruned) return
    this.#pruned = view
    const there = new Set<string>()
    for (const { cluster, local } of Object.values(view.services))
      for (const { ip, port } of [...cluster, ...local]) there.add(hostPort(ip, port))
    metrics.forget('endpoint', (endpoint) => !there.has(endpoint))
    for (const [service, endpoints] of this.#services) {
      for (const endpoint of endpoints.keys())
        if (!there.has(endpoint) && endpoints.delete(endpoint)) this.#size--
      if (endpoints.size === 0) this.#services.delete(service)
    }
  }

  #of(service: string, endpoint: string): Counters {
    const known = this.#services.get(service)?.get(endpoint)
    if (known !== undefined) return known
    if (this.#size >= this.#maxEndpoints) return this.#series(service, 'other')
    const made = this.#series(service, endpoint)
    const endpoints = this.#services.get(service) ?? new Map<string, Counters>()
    this.#services.set(service, endpoints.set(endpoint, made))
    this.#size++
    return made
  }

  #series(service: string, endpoint: string): Counters {
    const counter = (result: string): (() => void) =>
      this.#metrics.counter('shunt_proxy_endpoint_attempts_total', { service, endpoint, result })
    return { connected: counter('connected'), failed: counter('failed') }
  }
}
