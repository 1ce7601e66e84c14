// The memory of the proxy, by Service port. It holds what the view names and what still has connections, and no more.

import type { ServicePortKey } from '../../model/ids.ts'
import { endpointKey, type EndpointKey } from './endpoint-key.ts'
import { ServiceTraffic } from './service-traffic.ts'
import type { ProxyView, ViewService } from './view.ts'

export class Traffic {
  readonly #services = new Map<ServicePortKey, ServiceTraffic>()
  /** What the last view said, by identity: an unchanged Service is the same object in the next view. */
  #seen: ProxyView['services'] | undefined
  #around: Pick<ProxyView, 'frontends' | 'node'> | undefined
  #edition = 0

  /** Made when it is asked for first. */
  of(service: ServicePortKey): ServiceTraffic {
    let traffic = this.#services.get(service)
    if (traffic === undefined) {
      traffic = new ServiceTraffic(service)
      this.#services.set(service, traffic)
    }
    return traffic
  }

  /**
   * A number that changes when the view's frontends or its node do, by which what was derived from them is known to
   * stand. Services change more often, and are told apart by themselves.
   */
  edition({ frontends, node }: ProxyView): number {
    if (frontends !== this.#around?.frontends || node !== this.#around.node) {
      this.#around = { frontends, node }
      this.#edition++
    }
    return this.#edition
  }

  /** Service ports that something is remembered of. */
  services(): Iterable<ServiceTraffic> {
    return this.#services.values()
  }

  /**
   * To be called with every new view, before the first decision by it: forgets what left once nothing is open to it, and
   * notes what came.
   */
  prune(view: ProxyView, nowMs: number): void {
    for (const [key, traffic] of this.#services) {
      const service = view.services[key]
      if (service === undefined && traffic.idle) this.#services.delete(key)
      else if (service !== this.#seen?.[key] || service === undefined)
        traffic.keepOnly(new Set(keysOf(service)), nowMs)
    }
    for (const service of Object.values(view.services)) {
      const before = this.#seen?.[service.key]
      if (service === before || !needsTimes(service)) continue
      // What was there in the first view, or with a new Service, has nobody to be slower than.
      const old = before === undefined ? 'all' : new Set(keysOf(before))
      this.of(service.key).meet(keysOf(service), old, nowMs)
    }
    this.#seen = view.services
  }
}

/** Whether it matters when an endpoint came. */
function needsTimes({ policy }: ViewService): boolean {
  if (policy === undefined) return false
  return policy.balancer.kind === 'PeakEWMA' || policy.balancer.slowStart.windowMs > 0
}

function* keysOf(service: ViewService | undefined): Iterable<EndpointKey> {
  if (service === undefined) return
  for (const endpoint of service.cluster) yield endpointKey(endpoint)
  for (const endpoint of service.local) yield endpointKey(endpoint)
}
