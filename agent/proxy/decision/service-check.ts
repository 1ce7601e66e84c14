// Reads a Service port of a view out of unknown JSON: its endpoints, its policy and its routes.

import { POLICY_BOUNDS, POLICY_LIMITS } from '../../model/connection-policy-bounds.ts'
import type { ServicePortKey } from '../../model/ids.ts'
import { isPort } from '../../model/port.ts'
import { isServiceKey, list, numberIn, poolName, readIp, type Read } from './json-reads.ts'
import { readPolicy } from './policy-check.ts'
import { isObject } from './reasons.ts'
import type { ViewEndpoint, ViewService, ViewTlsBackend, ViewTlsRoute } from './view.ts'

export const readService: Read<ViewService> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { key, affinitySeconds, policy, tlsRoutes } = json
  if (typeof key !== 'string' || !isServiceKey(key))
    return reasons.add(`${path}.key`, 'must be the key of a Service port')
  if (affinitySeconds !== undefined && !isSeconds(affinitySeconds))
    return reasons.add(`${path}.affinitySeconds`, 'must be a positive number of seconds')
  const checked = policy === undefined ? undefined : readPolicy(policy, `${path}.policy`, reasons)
  return {
    key: key as ServicePortKey,
    cluster: list(json['cluster'], `${path}.cluster`, reasons, readEndpoint),
    local: list(json['local'], `${path}.local`, reasons, readEndpoint),
    ...(affinitySeconds === undefined ? {} : { affinitySeconds }),
    ...(checked === undefined ? {} : { policy: checked }),
    ...(tlsRoutes === undefined
      ? {}
      : {
          tlsRoutes: list(tlsRoutes, `${path}.tlsRoutes`, reasons, readTlsRoute, POLICY_LIMITS.tlsRoutes),
        }),
  }
}

const readEndpoint: Read<ViewEndpoint> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const ip = readIp(json['ip'], `${path}.ip`, reasons)
  const { port, local, weight } = json
  if (!isPort(port)) return reasons.add(`${path}.port`, 'must be a port')
  if (typeof local !== 'boolean') return reasons.add(`${path}.local`, 'must be true or false')
  if (weight !== undefined && numberIn(json, 'weight', path, reasons, POLICY_BOUNDS.weight) === undefined)
    return undefined
  if (ip === undefined) return undefined
  return typeof weight === 'number' ? { ip, port, local, weight } : { ip, port, local }
}

const readTlsRoute: Read<ViewTlsRoute> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { route, hostname } = json
  if (typeof route !== 'string' || route.length > MAX_ROUTE_LENGTH)
    return reasons.add(`${path}.route`, 'must be the name of a route')
  if (typeof hostname !== 'string' || !isHostname(hostname))
    return reasons.add(`${path}.hostname`, 'must be a host name in lower case, or empty')
  return {
    route,
    hostname,
    backends: list(json['backends'], `${path}.backends`, reasons, readBackend, POLICY_LIMITS.backends),
  }
}

const readBackend: Read<ViewTlsBackend> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { service } = json
  const pool = poolName(json['pool'])
  const weight = numberIn(json, 'weight', path, reasons, POLICY_BOUNDS.backendWeight)
  if (service !== null && (typeof service !== 'string' || !isServiceKey(service)))
    return reasons.add(`${path}.service`, 'must be the key of a Service port, or null')
  if (pool === undefined) return reasons.add(`${path}.pool`, 'must be `cluster` or `local`')
  return weight === undefined ? undefined : { service: service as ServicePortKey | null, pool, weight }
}

/** A namespace, a slash and a name. */
const MAX_ROUTE_LENGTH = 63 + 1 + 253

function isHostname(text: string): boolean {
  return text === '' || (text.length <= 255 && /^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text))
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}
