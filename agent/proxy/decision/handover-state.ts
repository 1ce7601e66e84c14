// What a proxy tells its successor of what it learnt: who is ejected and for how long, how fast endpoints answer, who is
// new, which endpoint a client had. In parts, so that nobody stops for long over a large state. Times are told from now,
// since the clocks of two processes start at different moments. What is open is not told: it stays with the proxy that
// has it. Read as anything that another process wrote: nothing is believed.

import type { ServicePortKey } from '../../model/ids.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import { isPort } from '../../model/port.ts'
import type { AffinityTable } from './affinity.ts'
import { endpointKey, type EndpointKey } from './endpoint-key.ts'
import { isObject } from './reasons.ts'
import { readLearnt, toldLearnt, type LearntJson } from './learnt-json.ts'
import type { Traffic } from './traffic.ts'
import type { ProxyView, ViewService } from './view.ts'

/** Plain JSON. A part of a kind that is not known is ignored, so that either side may be newer. */
export type StatePart =
  | {
      readonly kind: 'endpoints'
      readonly service: ServicePortKey
      readonly endpoints: readonly (readonly [EndpointKey, LearntJson])[]
    }
  | { readonly kind: 'affinity'; readonly records: readonly AffinityJson[] }

/** Service port, client, endpoint, time left. */
export type AffinityJson = readonly [ServicePortKey, Ip, EndpointKey, number]

export interface Memory {
  readonly traffic: Traffic
  readonly affinity: AffinityTable
}

export interface Imported {
  readonly taken: number
  /** Entries that are not as they should be, or about what is not in the view. */
  readonly ignored: number
}

/** Entries of one part. */
const PART_LENGTH = 500

export function* exportState({ traffic, affinity }: Memory, nowMs: number): Iterable<StatePart> {
  for (const service of traffic.services())
    for (const endpoints of inParts(toldAll(service.learnt(), nowMs)))
      yield { kind: 'endpoints', service: service.key, endpoints }
  for (const records of inParts(toldAffinity(affinity, nowMs))) yield { kind: 'affinity', records }
}

export function importState(memory: Memory, part: unknown, view: ProxyView, nowMs: number): Imported {
  if (!isObject(part)) return { taken: 0, ignored: 1 }
  const { kind, service, endpoints, records } = part
  if (kind === 'endpoints' && typeof service === 'string' && Array.isArray(endpoints))
    return importEndpoints(memory.traffic, service, endpoints, view, nowMs)
  if (kind === 'affinity' && Array.isArray(records))
    return countTaken(records, (each) => importAffinity(memory.affinity, each, view, nowMs))
  return { taken: 0, ignored: 1 }
}

function* toldAll(
  learnt: ReturnType<ReturnType<Traffic['of']>['learnt']>,
  nowMs: number,
): Iterable<readonly [EndpointKey, LearntJson]> {
  for (const [endpoint, record] of learnt) yield [endpoint, toldLearnt(record, nowMs)]
}

function* toldAffinity(affinity: AffinityTable, nowMs: number): Iterable<AffinityJson> {
  for (const { service, client, endpoint, expiresAtMs } of affinity.records())
    if (expiresAtMs > nowMs) yield [service, client, endpointKey(endpoint), expiresAtMs - nowMs]
}

function importEndpoints(
  traffic: Traffic,
  service: string,
  entries: readonly unknown[],
  view: ProxyView,
  nowMs: number,
): Imported {
  const known = serviceOf(view, service)
  if (known === undefined) return { taken: 0, ignored: entries.length }
  const keys = new Set<string>([...known.cluster, ...known.local].map(endpointKey))
  return countTaken(entries, (entry) => {
    if (!Array.isArray(entry)) return false
    const [endpoint, json] = entry as readonly unknown[]
    const learnt = readLearnt(json, nowMs)
    if (learnt === undefined || typeof endpoint !== 'string' || !keys.has(endpoint)) return false
    traffic.of(known.key).learn(endpoint as EndpointKey, learnt, nowMs)
    return true
  })
}

function importAffinity(affinity: AffinityTable, entry: unknown, view: ProxyView, nowMs: number): boolean {
  if (!Array.isArray(entry)) return false
  const [service, client, endpoint, leftMs] = entry as readonly unknown[]
  if (typeof service !== 'string' || typeof client !== 'string' || typeof endpoint !== 'string') return false
  const known = serviceOf(view, service)
  const ip = parseIp(client)
  const to = readKey(endpoint)
  if (known?.affinitySeconds === undefined || ip === undefined || to === undefined) return false
  if (typeof leftMs !== 'number' || !(leftMs > 0)) return false
  affinity.remember(known.key, ip, to, Math.min(leftMs / 1000, known.affinitySeconds), nowMs)
  return true
}

/** The name may be anything, `__proto__` too. */
function serviceOf({ services }: ProxyView, name: string): ViewService | undefined {
  return Object.hasOwn(services, name) ? services[name as ServicePortKey] : undefined
}

function readKey(text: string): { readonly ip: Ip; readonly port: number } | undefined {
  const [address = '', number, ...rest] = text.split('|')
  const ip = parseIp(address)
  const port = Number(number)
  return ip === undefined || !isPort(port) || rest.length > 0 ? undefined : { ip, port }
}

function countTaken(entries: readonly unknown[], take: (entry: unknown) => boolean): Imported {
  let taken = 0
  for (const entry of entries) if (take(entry)) taken++
  return { taken, ignored: entries.length - taken }
}

function* inParts<T>(entries: Iterable<T>): Iterable<readonly T[]> {
  let part: T[] = []
  for (const entry of entries) {
    part.push(entry)
    if (part.length < PART_LENGTH) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}
