// Reads a ConnectionPolicy out of unknown JSON: every number within the bounds that the decoder keeps.

import { POLICY_BOUNDS, POLICY_LIMITS, type Bounds } from '../../model/connection-policy-bounds.ts'
import type {
  BalancerKind,
  BalancerPolicy,
  ConnectionPolicy,
  ConnectPolicy,
  LimitPolicy,
  ProxyProtocolPolicy,
} from '../../model/connection-policy.ts'
import { list, numberIn, readCidr, type Read } from './json-reads.ts'
import { isObject, type Reasons } from './reasons.ts'

const BALANCERS: readonly BalancerKind[] = ['Random', 'RoundRobin', 'LeastConnections', 'PeakEWMA', 'Maglev']

export const readPolicy: Read<ConnectionPolicy> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { outlier } = json
  const balancer = readBalancer(json['balancer'], `${path}.balancer`, reasons)
  const connect = readConnect(json['connect'], `${path}.connect`, reasons)
  const timeouts = numbers(json['timeouts'], `${path}.timeouts`, reasons, POLICY_BOUNDS.timeouts)
  const ejection =
    outlier === undefined ? undefined : numbers(outlier, `${path}.outlier`, reasons, POLICY_BOUNDS.outlier)
  const limits = readLimits(json['limits'], `${path}.limits`, reasons)
  const proxyProtocol = readProxyProtocol(json['proxyProtocol'], `${path}.proxyProtocol`, reasons)
  if (!balancer || !connect || !timeouts || !limits || !proxyProtocol) return undefined
  return {
    balancer,
    connect,
    timeouts,
    ...(ejection === undefined ? {} : { outlier: ejection }),
    limits,
    proxyProtocol,
  }
}

const readBalancer: Read<BalancerPolicy> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const kind = BALANCERS.find((each) => each === json['kind'])
  const slowStart = numbers(json['slowStart'], `${path}.slowStart`, reasons, POLICY_BOUNDS.slowStart)
  const decayMs = numberIn(json, 'decayMs', path, reasons, POLICY_BOUNDS.decayMs)
  if (kind === undefined) return reasons.add(`${path}.kind`, `must be one of ${BALANCERS.join(', ')}`)
  return slowStart && decayMs !== undefined ? { kind, slowStart, decayMs } : undefined
}

const readConnect: Read<ConnectPolicy> = (json, path, reasons) => {
  const times = numbers(json, path, reasons, POLICY_BOUNDS.connect)
  if (times === undefined || !isObject(json)) return undefined
  const backoff = numbers(json['backoff'], `${path}.backoff`, reasons, POLICY_BOUNDS.backoff)
  const retryBudget = numbers(json['retryBudget'], `${path}.retryBudget`, reasons, POLICY_BOUNDS.retryBudget)
  return backoff && retryBudget ? { ...times, backoff, retryBudget } : undefined
}

const readLimits: Read<LimitPolicy> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { fair, maxConnections, maxConnectionsPerClient } = json
  if (typeof fair !== 'boolean') return reasons.add(`${path}.fair`, 'must be true or false')
  const bounds = POLICY_BOUNDS.limits
  return {
    fair,
    ...(maxConnections === undefined
      ? {}
      : { maxConnections: numberIn(json, 'maxConnections', path, reasons, bounds.maxConnections) ?? 1 }),
    ...(maxConnectionsPerClient === undefined
      ? {}
      : {
          maxConnectionsPerClient:
            numberIn(json, 'maxConnectionsPerClient', path, reasons, bounds.maxConnectionsPerClient) ?? 1,
        }),
  }
}

const readProxyProtocol: Read<ProxyProtocolPolicy> = (json, path, reasons) => {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const { send } = json
  const acceptFrom = list(json['acceptFrom'], `${path}.acceptFrom`, reasons, readCidr, POLICY_LIMITS.cidrs)
  if (send !== 'none' && send !== 'v2') return reasons.add(`${path}.send`, 'must be `none` or `v2`')
  return { send, acceptFrom }
}

/** An object of numbers; undefined if one is missing or out of its bounds. */
function numbers<K extends string>(
  json: unknown,
  path: string,
  reasons: Reasons,
  bounds: Readonly<Record<K, Bounds>>,
): Record<K, number> | undefined {
  if (!isObject(json)) return reasons.add(path, 'must be an object')
  const result: Partial<Record<K, number>> = {}
  let good = true
  for (const field of Object.keys(bounds) as K[]) {
    const value = numberIn(json, field, path, reasons, bounds[field])
    if (value === undefined) good = false
    else result[field] = value
  }
  // Every field of the bounds was read.
  return good ? (result as Record<K, number>) : undefined
}
