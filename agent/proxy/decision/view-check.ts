// Reads a view, or a change of one, out of unknown JSON. What lies on disk may be cut off or of another version, and
// what comes over the socket of another build: nothing is believed. Total, and a wrong document is refused whole.

import type { ServicePortKey } from '../../model/ids.ts'
import { parseIp } from '../../model/ip.ts'
import { isPort } from '../../model/port.ts'
import { isServiceKey, list, poolName, readCidr, readIp, record, type Read } from './json-reads.ts'
import { Reasons, isObject, type JsonObject } from './reasons.ts'
import { readService } from './service-check.ts'
import { VIEW_VERSION, type ProxyView, type ViewDelta, type ViewFrontend, type ViewNode } from './view.ts'

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
