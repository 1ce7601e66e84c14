// What the proxy knows of endpoints at this moment, as `shunt endpoints` shows it: who has connections, who is ejected.

import { hostPort, type Ip } from '../model/ip.ts'
import type { ScrapedMetrics } from '../model/metrics.ts'
import type { EndpointKey } from './decision/endpoint-key.ts'
import type { ServiceTraffic } from './decision/service-traffic.ts'
import type { Traffic } from './decision/traffic.ts'

/** GET /endpoints */
export interface ProxyEndpoints {
  /** Those that had a connection or an attempt while they were in the view; bounded. */
  readonly endpoints: readonly EndpointState[]
  /** How many more there are; missing: none. */
  readonly omitted?: number
}

export interface EndpointState {
  /** Key of the Service port. */
  readonly service: string
  /** `ip:port`. */
  readonly endpoint: string
  /** Open through the proxy, those that are being opened among them. */
  readonly connections: number
  /** Attempts that failed since the last one that worked. */
  readonly failures: number
  /** Until it gets connections again; null: it is not ejected. */
  readonly ejectedForMs: number | null
  /** How often in a row it was ejected. */
  readonly ejections: number
}

/** A list of all would stop the event loop for too long. */
const MAX_LISTED = 20_000

export function endpointStates(traffic: Pick<Traffic, 'services'>, nowMs: number): ProxyEndpoints {
  const endpoints: EndpointState[] = []
  let omitted = 0
  for (const service of traffic.services()) {
    const room = MAX_LISTED - endpoints.length
    if (service.size > room) omitted += service.size - room
    endpoints.push(...statesOf(service, nowMs, room))
  }
  return { endpoints, ...(omitted === 0 ? {} : { omitted }) }
}

export function publishEjected(
  traffic: Pick<Traffic, 'services'>,
  metrics: ScrapedMetrics,
  nowMs: number,
): void {
  for (const service of traffic.services())
    metrics.set('shunt_proxy_endpoints_ejected', service.ejected(nowMs).size, { service: service.key })
}

function statesOf(service: ServiceTraffic, nowMs: number, room: number): EndpointState[] {
  const states: EndpointState[] = []
  for (const [key, { failures, ejections }] of service.learnt()) {
    if (states.length >= room) break
    const untilMs = service.ejectedUntilMs(key, nowMs)
    states.push({
      service: service.key,
      endpoint: addressOf(key),
      connections: service.active(key),
      failures,
      ejectedForMs: untilMs === undefined ? null : Math.round(untilMs - nowMs),
      ejections,
    })
  }
  return states
}

function addressOf(key: EndpointKey): string {
  const at = key.lastIndexOf('|')
  return hostPort(key.slice(0, at) as Ip, Number(key.slice(at + 1)))
}
