// Random routes, policies and grants. Many select ports and name backends that nothing has, and host names collide.

import * as fc from 'fast-check'
import {
  DEFAULT_CONNECTION_POLICY,
  DEFAULT_OUTLIER_POLICY,
  type BalancerKind,
  type ConnectionPolicy,
} from '#agent/model/connection-policy.ts'
import type { ServiceId } from '#agent/model/ids.ts'
import type { PolicyAttachment, WeightRule } from '#agent/model/policy.ts'
import type { ReferenceGrant, RouteAttachment, RouteKind, TlsBackend, TlsRule } from '#agent/model/route.ts'
import type { Service } from '#agent/model/service.ts'
import { mostly, NAMESPACES, oneOf } from './arbitrary-objects.ts'
import { cidr } from './build.ts'

/** Of a port: its number, its name, its number as text, or nothing. */
const arbitrarySelection = fc
  .record({ port: oneOf(0, 0, 80, 443, 9999), section: mostly('', 'http', '80', 'nobody') })
  .map(({ port, section }) => ({ ...(port === 0 ? {} : { port }), ...(section === '' ? {} : { section }) }))

const arbitraryAge = oneOf({}, {}, { createdAtMs: 1 }, { createdAtMs: 2 })

function arbitraryTls(services: readonly ServiceId[]): fc.Arbitrary<TlsRule> {
  return fc.record({
    hostnames: oneOf(
      [''],
      ['a.example'],
      ['*.example', 'a.example'],
      ['*.b.example', 'x.b.example', 'a.example'],
    ),
    backends: fc.array(
      fc.record({
        target: fc.option(
          fc.record({ service: fc.constantFrom(...services), port: oneOf(80, 80, 443, 9999) }),
          { nil: undefined, freq: 8 },
        ),
        weight: oneOf(1, 1, 0, 9),
      }),
      { maxLength: 3 },
    ),
  })
}

/** A TLSRoute of another namespace than its Service's has no rules, as the decoder makes it. */
export function arbitraryRoutes(services: readonly ServiceId[]): fc.Arbitrary<RouteAttachment[]> {
  const route = fc.record({
    kind: oneOf<RouteKind>('HTTPRoute', 'GRPCRoute', 'TCPRoute', 'TLSRoute', 'TLSRoute', 'TLSRoute'),
    service: fc.constantFrom(...services),
    selection: arbitrarySelection,
    age: arbitraryAge,
    elsewhere: mostly(false, true),
    tls: arbitraryTls(services),
  })
  return fc.array(route, { maxLength: 4 }).map((routes) =>
    routes.map(({ kind, service, selection, age, elsewhere, tls }, i) => ({
      kind,
      service,
      ...selection,
      ...age,
      id: `${elsewhere ? 'elsewhere' : service.slice(0, service.indexOf('/'))}/route-${i}`,
      ...(kind === 'TLSRoute' && !elsewhere ? { tls } : {}),
    })),
  )
}

export const arbitraryGrants: fc.Arbitrary<ReferenceGrant[]> = fc.array(
  fc
    .record({ namespace: oneOf(...NAMESPACES), from: oneOf(...NAMESPACES), service: oneOf('', 'web', 'api') })
    .map(({ namespace, from, service }) => ({
      namespace,
      from,
      ...(service === '' ? {} : { service: `${namespace}/${service}` as ServiceId }),
    })),
  { maxLength: 2 },
)

const arbitraryConnection: fc.Arbitrary<ConnectionPolicy> = fc
  .record({
    kind: oneOf<BalancerKind>('Random', 'Random', 'RoundRobin', 'LeastConnections', 'PeakEWMA', 'Maglev'),
    windowMs: oneOf(0, 0, 30_000),
    deadlineMs: oneOf(10_000, 500),
    outlier: fc.boolean(),
    maxConnections: oneOf(0, 0, 100),
    send: oneOf('none' as const, 'v2' as const),
    acceptFrom: oneOf([], [], [cidr('10.0.0.0/8')]),
  })
  .map(({ kind, windowMs, deadlineMs, outlier, maxConnections, send, acceptFrom }) => {
    const { balancer, connect, timeouts } = DEFAULT_CONNECTION_POLICY
    return {
      balancer: { ...balancer, kind, slowStart: { ...balancer.slowStart, windowMs } },
      connect: { ...connect, deadlineMs, attemptTimeoutMs: Math.min(connect.attemptTimeoutMs, deadlineMs) },
      timeouts,
      ...(outlier ? { outlier: DEFAULT_OUTLIER_POLICY } : {}),
      limits: { fair: true, ...(maxConnections === 0 ? {} : { maxConnections }) },
      proxyProtocol: { send, acceptFrom },
    }
  })

const arbitraryWeight: fc.Arbitrary<WeightRule> = oneOf<WeightRule>(
  { kind: 'zone', zone: 'z1', weight: 3 },
  { kind: 'zone', zone: 'z2', weight: 0 },
  { kind: 'node', node: 'n1', weight: 0 },
  { kind: 'node', node: 'n2', weight: 10 },
  { kind: 'addresses', cidrs: [cidr('10.244.1.0/24')], weight: 2 },
  { kind: 'addresses', cidrs: [cidr('0.0.0.0/0'), cidr('::/0')], weight: 1 },
)

export function arbitraryPolicies(services: readonly ServiceId[]): fc.Arbitrary<PolicyAttachment[]> {
  const policy = fc.record({
    service: fc.constantFrom(...services),
    section: mostly('', 'http', '80', 'nobody'),
    age: arbitraryAge,
    connection: oneOf(true, true, false).chain((own) =>
      own ? arbitraryConnection : fc.constant(DEFAULT_CONNECTION_POLICY),
    ),
    weights: fc.array(arbitraryWeight, { maxLength: 2 }),
  })
  return fc.array(policy, { maxLength: 3 }).map((policies) =>
    policies.map(({ service, section, age, connection, weights }, i) => ({
      id: `${service.slice(0, service.indexOf('/'))}/policy-${i}`,
      service,
      ...(section === '' ? {} : { section }),
      ...age,
      connection,
      weights,
    })),
  )
}

/** Attached to a Service that exists, which blind draws rarely hit; one route in two leads to a Service that exists. */
export function aimAttached<A extends PolicyAttachment | RouteAttachment>(
  attached: A,
  index: number,
  services: readonly Service[],
): A {
  const service = services[index % Math.max(services.length, 1)]
  if (service === undefined) return attached
  const [namespace = '', name = ''] = attached.id.split('/')
  const own = namespace === 'elsewhere' ? namespace : service.namespace
  const aimed = { ...attached, service: service.id, id: `${own}/${name}` }
  if (!('tls' in aimed) || aimed.tls === undefined) return aimed
  const backends = aimed.tls.backends.map((backend, i): TlsBackend => {
    const other = services[(index + i) % services.length]
    const port = other?.ports[0]?.port
    if (i % 2 === 1 || other === undefined || port === undefined) return backend
    return { ...backend, target: { service: other.id, port } }
  })
  return { ...aimed, tls: { ...aimed.tls, backends } }
}
