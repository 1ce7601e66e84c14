// Reads a view, or a change of one, out of unknown JSON. What lies on disk may be cut off or of another version, and
// what comes over the socket of another build: nothing is believed. Total, and a wrong document is refused whole.

import { parseCidr, type Cidr } from '../../model/cidr.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import { parseIp, type Ip } from '../../model/ip.ts'
import { isPort } from '../../model/port.ts'
import { Reasons, isObject, type JsonObject } from './reasons.ts'
import {
  VIEW_VERSION,
  type PoolName,
  type ProxyView,
  type ViewDelta,
  type ViewEndpoint,
  type ViewFrontend,
  type ViewNode,
  type ViewService,
} from './view.ts'

/** `reasons` are sentences with the path of the field, at most {@link MAX_REASONS} of them. */
export type Checked<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly reasons: readonly string[] }

export function checkView(json: unknown): Checked<ProxyView> {
  const reasons = new Reasons()
  if (!isObject(json)) return { kind: 'bad', reasons: ['the view is not an object'] }
  const view: ProxyView = {
    version: version(json, reasons),
    epoch: text(json, 'epoch', reasons),
    generation: count(json, 'generation', reasons),
    node: readNode(json['node'], reasons),
    frontends: record(json, 'frontends', reasons, isFrontendKey, readFrontend),
    services: record(json, 'services', reasons, isServiceKey, readService),
  }
  return reasons.none ? { kind: 'ok', value: view } : { kind: 'bad', reasons: reasons.list }
}

export function checkDelta(json: unknown): Checked<ViewDelta> {
  const reasons = new Reasons()
  if (!isObject(json)) return { kind: 'bad', reasons: ['the change is not an object'] }
  const delta: ViewDelta = {
    version: version(json, reasons),
    epoch: text(json, 'epoch', reasons),
    from: count(json, 'from', reasons),
    to: count(json, 'to', reasons),
    ...(json['node'] === undefined ? {} : { node: readNode(json['node'], reasons) }),
    frontends: record(json, 'frontends', reasons, isFrontendKey, orNull(readFrontend)),
    services: record(json, 'services', reasons, isServiceKey, orNull(readService)),
  }
  return reasons.none ? { kind: 'ok', value: delta } : { kind: 'bad', reasons: reasons.list }
}

type Read<T> = (json: unknown, path: string, reasons: Reasons) => T | undefined

function version(json: JsonObject, reasons: Reasons): typeof VIEW_VERSION {
  if (json['version'] !== VIEW_VERSION) reasons.add('version', `must be ${VIEW_VERSION}`)
  return VIEW_VERSION
}

function text(json: JsonObject, field: string, reasons: Reasons): string {
  const value = json[field]
  if (typeof value === 'string') return value
  reasons.add(field, 'must be text')
  return ''
}

function count(json: JsonObject, field: string, reasons: Reasons): number {
  const value = json[field]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  reasons.add(field, 'must be a whole number from 0')
  return 0
}

function record<T>(
  json: JsonObject,
  field: string,
  reasons: Reasons,
  isKey: (key: string) => boolean,
  read: Read<T>,
): Readonly<Record<string, T>> {
  const value = json[field]
  const result: Record<string, T> = {}
  if (!isObject(value)) {
    reasons.add(field, 'must be an object')
    return result
  }
  for (const [key, each] of Object.entries(value)) {
    const path = `${field}[${JSON.stringify(key.slice(0, 100))}]`
    const good = read(each, path, reasons)
    if (!isKey(key)) reasons.add(path, 'has a key of the wrong form')
    else if (good !== undefined) result[key] = good
  }
  return result
}

/** `__proto__` is neither a frontend's key nor a Service's, so no key can reach the prototype. */
function isFrontendKey(key: string): boolean {
  const [address, port, ...rest] = key.split('|')
  if (address === undefined || port === undefined || rest.length > 0) return false
  return (
    isPort(Number(port)) &&
    String(Number(port)) === port &&
    (address === 'node' || parseIp(address) === address)
  )
}

function isServiceKey(key: string): boolean {
  return /^[^/:]+\/[^/:]+(?::[^/:]+)?\/TCP$/.test(key)
}

function orNull<T>(read: Read<T>): Read<T | null> {
  return (json, path, reasons) => (json === null ? null : read(json, path, reasons))
}

function readNode(json: unknown, reasons: Reasons): ViewNode {
  if (!isObject(json)) {
    reasons.add('node', 'must be an object')
    return { name: '', podCidrs: [], addresses: [] }
  }
  return {
    name: typeof json['name'] === 'string' ? json['name'] : (reasons.add('node.name', 'must be text'), ''),
    podCidrs: list(json['podCidrs'], 'node.podCidrs', reasons, readCidr),
    addresses: list(json['addresses'], 'node.addresses', reasons, readIp),
  }
}

const readFrontend: Read<ViewFrontend> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { service, kind, pool } = json
  if (typeof service !== 'string' || !isServiceKey(service))
    return reasons.add(`${path}.service`, 'must be the key of a Service port')
  if (kind !== 'ClusterIP' && kind !== 'ExternalIP' && kind !== 'LoadBalancerIP' && kind !== 'NodePort')
    return reasons.add(`${path}.kind`, 'must be a kind of frontend')
  if (!isObject(pool)) return reasons.add(`${path}.pool`, 'must be an object')
  const [pod, host, outside] = [poolName(pool['pod']), poolName(pool['host']), poolName(pool['outside'])]
  if (pod === undefined || host === undefined || outside === undefined)
    return reasons.add(`${path}.pool`, 'must name `cluster` or `local` for pod, host and outside')
  return { service: service as ServicePortKey, kind, pool: { pod, host, outside } }
}

const readService: Read<ViewService> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { key, affinitySeconds } = json
  if (typeof key !== 'string' || !isServiceKey(key))
    return reasons.add(`${path}.key`, 'must be the key of a Service port')
  if (affinitySeconds !== undefined && !isSeconds(affinitySeconds))
    return reasons.add(`${path}.affinitySeconds`, 'must be a positive number of seconds')
  return {
    key: key as ServicePortKey,
    cluster: list(json['cluster'], `${path}.cluster`, reasons, readEndpoint),
    local: list(json['local'], `${path}.local`, reasons, readEndpoint),
    ...(affinitySeconds === undefined ? {} : { affinitySeconds }),
  }
}

const readEndpoint: Read<ViewEndpoint> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const ip = readIp(json['ip'], `${path}.ip`, reasons)
  const { port, local } = json
  if (!isPort(port)) return reasons.add(`${path}.port`, 'must be a port')
  if (typeof local !== 'boolean') return reasons.add(`${path}.local`, 'must be true or false')
  return ip === undefined ? undefined : { ip, port, local }
}

const readIp: Read<Ip> = (json, path, reasons) => {
  const ip = typeof json === 'string' ? parseIp(json) : undefined
  return ip ?? reasons.add(path, 'must be an address')
}

const readCidr: Read<Cidr> = (json, path, reasons) => {
  const cidr = typeof json === 'string' ? parseCidr(json) : undefined
  return cidr ?? reasons.add(path, 'must be a range of addresses')
}

function list<T>(json: unknown, path: string, reasons: Reasons, read: Read<T>): readonly T[] {
  if (!Array.isArray(json)) {
    reasons.add(path, 'must be a list')
    return []
  }
  return json.flatMap((each: unknown, i) => read(each, `${path}[${i}]`, reasons) ?? [])
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function poolName(value: unknown): PoolName | undefined {
  return value === 'cluster' || value === 'local' ? value : undefined
}
