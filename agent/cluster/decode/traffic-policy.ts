// shunt.dev/v1alpha1 TrafficPolicy: how the proxy treats the connections of Services, with every default filled in.

import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '../../model/connection-policy.ts'
import { serviceId } from '../../model/ids.ts'
import type { PolicyAttachment, WeightRule } from '../../model/policy.ts'
import { createdAtMs } from './created-at.ts'
import type { Fields } from './fields.ts'
import { decodeObject, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import { readMap, type Read } from './read-shape.ts'
import type { Decoding } from './report.ts'
import { TRAFFIC_POLICY_SPEC } from './traffic-policy-fields.ts'

const SHAPE: ObjectShape = {
  kind: 'TrafficPolicy',
  scope: 'namespaced',
  naming: 'subdomain',
  fields: ['spec'],
}

type Spec = Read<typeof TRAFFIC_POLICY_SPEC>

/** One attachment for each target. */
export function decodeTrafficPolicy(input: unknown, root?: Place): Decoding<readonly PolicyAttachment[]> {
  return decodeObject(input, root, SHAPE, (object, metadata) => {
    if (!object.has('spec')) {
      object.report.error(object.at('spec'), 'missing: a TrafficPolicy needs a spec')
      return undefined
    }
    const fields = object.map('spec')
    if (fields === undefined) return undefined
    const spec = readMap(fields, TRAFFIC_POLICY_SPEC)
    warnOfNoEffect(fields, spec)
    // Its parts may be missing after an error, and then nobody looks at the value.
    if (object.report.failed) return undefined
    const created = createdAtMs(metadata.fields)
    const connection = connectionPolicy(spec)
    const weights = spec.loadBalancer?.weights.map(weightRule) ?? []
    return spec.targetRefs.map(({ name, sectionName }) => ({
      id: `${metadata.namespace}/${metadata.name}`,
      service: serviceId(metadata.namespace, name),
      ...(sectionName === undefined ? {} : { section: sectionName }),
      ...(created === undefined ? {} : { createdAtMs: created }),
      connection,
      weights,
    }))
  })
}

/** Maglev's table and PeakEWMA's costs leave no place for a weight that grows; only the latter have a decay. */
function warnOfNoEffect(fields: Fields, { loadBalancer }: Spec): void {
  if (loadBalancer === undefined) return
  const { type, slowStart, decay } = loadBalancer
  const warn = (step: string): void =>
    fields.report.warn({ parent: fields.at('loadBalancer'), step }, `has no effect with ${type}`)
  if ((type === 'Maglev' || type === 'PeakEWMA') && (slowStart?.window ?? 0) !== 0) warn('slowStart')
  if (type !== 'PeakEWMA' && decay !== DEFAULT_CONNECTION_POLICY.balancer.decayMs) warn('decay')
}

function connectionPolicy(spec: Spec): ConnectionPolicy {
  const { outlierDetection, proxyProtocol } = spec
  const defaults = DEFAULT_CONNECTION_POLICY
  return {
    balancer: balancer(spec.loadBalancer),
    connect: connect(spec),
    timeouts: timeouts(spec.timeouts),
    ...(outlierDetection === undefined
      ? {}
      : {
          outlier: {
            consecutiveFailures: outlierDetection.consecutiveFailures,
            baseEjectionMs: outlierDetection.baseEjectionTime,
            maxEjectionMs: outlierDetection.maxEjectionTime,
            maxEjectionPercent: outlierDetection.maxEjectionPercent,
            panicPercent: outlierDetection.panicThresholdPercent,
          },
        }),
    limits: limits(spec.limits),
    proxyProtocol:
      proxyProtocol === undefined
        ? defaults.proxyProtocol
        : { send: proxyProtocol.toEndpoints === 'V2' ? 'v2' : 'none', acceptFrom: proxyProtocol.acceptFrom },
  }
}

function balancer(given: Spec['loadBalancer']): ConnectionPolicy['balancer'] {
  if (given === undefined) return DEFAULT_CONNECTION_POLICY.balancer
  const { type, slowStart, decay } = given
  return {
    kind: type,
    slowStart:
      slowStart === undefined
        ? DEFAULT_CONNECTION_POLICY.balancer.slowStart
        : {
            windowMs: slowStart.window,
            minWeightPercent: slowStart.minWeightPercent,
            aggression: slowStart.aggression,
          },
    decayMs: decay,
  }
}

function connect({ connect: given, retryBudget }: Spec): ConnectionPolicy['connect'] {
  const defaults = DEFAULT_CONNECTION_POLICY.connect
  const rate = retryBudget?.minRetryRate
  return {
    attemptTimeoutMs: given?.attemptTimeout ?? defaults.attemptTimeoutMs,
    deadlineMs: given?.deadline ?? defaults.deadlineMs,
    backoff:
      given?.backoff === undefined
        ? defaults.backoff
        : { baseMs: given.backoff.base, maxMs: given.backoff.max },
    retryBudget:
      retryBudget === undefined
        ? defaults.retryBudget
        : {
            percent: retryBudget.percent,
            minPerSecond:
              rate === undefined ? defaults.retryBudget.minPerSecond : (rate.count * 1_000) / rate.interval,
          },
  }
}

function timeouts(given: Spec['timeouts']): ConnectionPolicy['timeouts'] {
  if (given === undefined) return DEFAULT_CONNECTION_POLICY.timeouts
  const { idle, halfClosed, silent, lifetime } = given
  return { idleMs: idle, halfClosedMs: halfClosed, silentMs: silent, lifetimeMs: lifetime }
}

function limits(given: Spec['limits']): ConnectionPolicy['limits'] {
  if (given === undefined) return DEFAULT_CONNECTION_POLICY.limits
  const { maxConnections, maxConnectionsPerClient, fair } = given
  return {
    fair,
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(maxConnectionsPerClient === undefined ? {} : { maxConnectionsPerClient }),
  }
}

/** The shape demands exactly one of the three. */
function weightRule({
  zone,
  node,
  addresses,
  weight,
}: NonNullable<Spec['loadBalancer']>['weights'][number]): WeightRule {
  if (zone !== undefined) return { kind: 'zone', zone, weight }
  if (node !== undefined) return { kind: 'node', node, weight }
  return { kind: 'addresses', cidrs: addresses, weight }
}
