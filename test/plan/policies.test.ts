// TrafficPolicies and TLSRoutes in the Plan: which holds, what becomes of backends, and what a change of them touches.

import test from 'ava'
import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import type { PolicyAttachment } from '#agent/model/policy.ts'
import type { RouteAttachment, TlsBackend } from '#agent/model/route.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { diffPlan } from '#agent/plan/diff.ts'
import { explain } from '#agent/plan/explain.ts'
import type { Plan, ServicePortPlan } from '#agent/plan/plan.ts'
import { summarizeDelta } from '#agent/plan/summary.ts'
import {
  aPacket,
  aService,
  aSlice,
  aSnapshot,
  aWorld,
  idOf,
  planOf,
  someOptions,
  type SnapshotParts,
} from '../support/build.ts'

const WEB = 'default/web/TCP' as ServicePortKey
const API = aService({ name: 'api', clusterIps: ['10.96.0.11'] })
const BASE: SnapshotParts = {
  services: [aService(), API],
  slices: [
    aSlice({ endpoints: ['10.244.1.5', { ip: '10.244.2.5', nodeName: 'n2', zone: 'b' }] }),
    aSlice({ service: 'api', endpoints: ['10.244.1.6'] }),
  ],
}

function policy(name: string, fields: Partial<PolicyAttachment> = {}): PolicyAttachment {
  return {
    id: `default/${name}`,
    service: idOf('web'),
    connection: DEFAULT_CONNECTION_POLICY,
    weights: [],
    ...fields,
  }
}

function route(
  backends: readonly TlsBackend[],
  hostnames: readonly string[] = ['a.example'],
): RouteAttachment {
  return { kind: 'TLSRoute', id: 'default/r', service: idOf('web'), tls: { hostnames, backends } }
}

function to(service: string, port = 80): TlsBackend {
  return { target: { service: idOf(service), port }, weight: 1 }
}

function web(plan: Plan): ServicePortPlan {
  const port = plan.families.IPv4?.ports.get(WEB)
  if (port === undefined) throw new Error('the Service is not in the plan')
  return port
}

test('a policy steers its Service and gives endpoints their weights', (t) => {
  const port = web(
    planOf({ ...BASE, policies: [policy('p', { weights: [{ kind: 'zone', zone: 'b', weight: 0 }] })] }),
  )
  t.like(port.steering, { kind: 'steered', because: 'policy' })
  t.is(port.policy?.id, 'default/p')
  t.deepEqual(
    port.cluster.map(({ weight }) => weight),
    [undefined, 0],
  )
})

test('a policy for another port neither steers nor holds', (t) => {
  const port = web(planOf({ ...BASE, policies: [policy('p', { section: '81' })] }))
  t.is(port.steering.kind, 'none')
  t.is(port.policy, undefined)
})

test('a policy on a UDP port does not hold', (t) => {
  const services = [aService({ ports: [{ protocol: 'UDP' }] })]
  const port = planOf({ services, policies: [policy('p')] })
    .families.IPv4?.ports.values()
    .next().value
  t.is(port?.policy, undefined)
  t.like(port?.steering, { kind: 'none', because: 'the proxy carries TCP, this port is UDP' })
})

const BACKENDS: readonly (readonly [
  it: string,
  backend: TlsBackend,
  parts: SnapshotParts,
  becomes: string,
])[] = [
  ['a Service of the namespace', to('api'), {}, 'default/api/TCP cluster'],
  ['a Service that is not there', to('gone'), {}, 'there is no Service default/gone'],
  ['a port that is not there', to('api', 81), {}, 'Service default/api has no port 81/TCP'],
  ['no Service at all', { target: undefined, weight: 1 }, {}, 'it is not a Service'],
  [
    'a Service that says internalTrafficPolicy: Local',
    to('api'),
    { services: [aService(), { ...API, internalTrafficPolicy: 'Local' }] },
    'default/api/TCP local',
  ],
  [
    'a headless Service',
    to('api'),
    { services: [aService(), { ...API, headless: true, clusterIps: [] }] },
    'Service default/api has no ClusterIP',
  ],
  [
    'another namespace without a grant',
    to('shared/api'),
    {},
    'no ReferenceGrant in shared lets TLSRoutes of default refer to Service shared/api',
  ],
  [
    'another namespace with a grant',
    to('shared/api'),
    {
      services: [aService(), aService({ namespace: 'shared', name: 'api', clusterIps: ['10.96.0.12'] })],
      grants: [{ namespace: 'shared', from: 'default' }],
    },
    'shared/api/TCP cluster',
  ],
]
for (const [it, backend, parts, becomes] of BACKENDS)
  test(`a route to ${it}: ${becomes}`, (t) => {
    const [entry] = web(planOf({ ...BASE, ...parts, routes: [route([backend])] })).tlsRoutes
    const [{ service, pool, because } = { service: null, pool: '', because: '' }] = entry?.backends ?? []
    t.is(service === null ? because : `${service} ${pool}`, becomes)
  })

test('what a backend is follows the Service and the grant, and nothing else is looked at', (t) => {
  const routes = [route([to('shared/api')])]
  const before = aSnapshot({ ...BASE, routes })
  const plan = buildPlan(before, someOptions())
  const shared = aService({ namespace: 'shared', name: 'api', clusterIps: ['10.96.0.12'] })
  const granted = { ...before, generation: 2, grants: [{ namespace: 'shared', from: 'default' }] }
  const second = buildPlan(granted, someOptions(), { snapshot: before, plan })
  t.regex(web(second).tlsRoutes[0]?.backends[0]?.because ?? '', /there is no Service shared\/api/)
  const there = { ...granted, services: new Map([...granted.services, [shared.id, shared]]) }
  const third = buildPlan(there, someOptions(), { snapshot: granted, plan: second })
  t.is(web(third).tlsRoutes[0]?.backends[0]?.service, 'shared/api/TCP' as ServicePortKey)
  const api = (of: Plan) => of.families.IPv4?.ports.get('default/api/TCP' as ServicePortKey)
  t.is(api(third), api(plan))
})

test('a change of the endpoints of a backend leaves the parent as it is', (t) => {
  const before = aSnapshot({ ...BASE, routes: [route([to('api')])] })
  const plan = buildPlan(before, someOptions())
  const slices = new Map([
    ...before.slices,
    [API.id, [aSlice({ service: 'api', endpoints: ['10.244.1.7'] })]],
  ])
  const after = buildPlan({ ...before, slices }, someOptions(), { snapshot: before, plan })
  t.is(web(after), web(plan))
})

test('a Service without endpoints is steered by its route, and the kernel has those of the backends', (t) => {
  const routes = [route([to('api'), { ...to('api2'), weight: 0 }])]
  const api2 = aService({ name: 'api2', clusterIps: ['10.96.0.13'] })
  const [, apiSlice] = BASE.slices ?? []
  const slices = [
    apiSlice ?? aSlice({ endpoints: [] }),
    aSlice({ service: 'api2', endpoints: ['10.244.1.8'] }),
  ]
  const parts: SnapshotParts = { services: [aService(), API, api2], slices, routes }
  const port = web(planOf(parts))
  t.like(port.steering, { kind: 'steered', because: 'route' })
  t.deepEqual(
    port.cluster.map(({ ip }) => String(ip)),
    ['10.244.1.6'],
  )
  for (const off of [{ steering: { mechanism: 'off' as const, proxyPort: 1 } }, { steer: 'never' as const }])
    t.deepEqual(web(planOf(parts, off)).cluster, [])
  const before = aSnapshot(parts)
  const plan = buildPlan(before, someOptions())
  const moved = new Map([...before.slices, [API.id, [aSlice({ service: 'api', endpoints: ['10.244.1.7'] })]]])
  const after = buildPlan({ ...before, slices: moved }, someOptions(), { snapshot: before, plan })
  t.is(String(web(after).cluster[0]?.ip), '10.244.1.7')
})

test('an equal policy keeps the Service port, another changes it', (t) => {
  const before = aSnapshot({ ...BASE, policies: [policy('p')] })
  const plan = buildPlan(before, someOptions())
  const next = (made: PolicyAttachment): Plan => {
    const snapshot = { ...before, policies: new Map([[made.service, [made]]]) }
    return buildPlan(snapshot, someOptions(), { snapshot: before, plan: buildPlan(before, someOptions()) })
  }
  const equal = next(policy('p', { connection: structuredClone(DEFAULT_CONNECTION_POLICY) }))
  t.deepEqual(web(equal), web(plan))
  const connection: ConnectionPolicy = {
    ...DEFAULT_CONNECTION_POLICY,
    connect: { ...DEFAULT_CONNECTION_POLICY.connect, deadlineMs: 5_000 },
  }
  const other = next(policy('p', { connection }))
  t.deepEqual(summarizeDelta(diffPlan(plan, other)), [
    '~ IPv4 default/web/TCP  policy default/p: the defaults → default/p: connect.deadline 5s',
  ])
})

test('a summary names routes that came and went', (t) => {
  const plan = planOf({ ...BASE, routes: [route([to('api')])] })
  const other = planOf({ ...BASE, routes: [route([to('gone')], ['*.example', ''])] })
  t.deepEqual(summarizeDelta(diffPlan(plan, other)), [
    '~ IPv4 default/web/TCP  TLS routes ' +
      '+*.example → default/gone:80 (refused: there is no Service default/gone) ' +
      '+any name → default/gone:80 (refused: there is no Service default/gone) ' +
      '-a.example → default/api:80',
  ])
})

test('explain names the policy, the route and who chooses how', (t) => {
  const { balancer } = DEFAULT_CONNECTION_POLICY
  const connection: ConnectionPolicy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: { ...balancer, kind: 'Maglev' },
  }
  const said = (parts: SnapshotParts): string[] => {
    const packet = aPacket({ from: '10.244.1.9', to: '10.96.0.10' })
    const { steps } = explain(planOf({ ...BASE, ...parts }), packet, aWorld())
    return steps.slice(3).map(({ label, text }) => `${label}: ${text}`)
  }
  t.deepEqual(said({ policies: [policy('p', { connection })] }), [
    'endpoints: Maglev by the proxy, random over 2 by the kernel',
    'steering: to the proxy (by policy); when it is down: the kernel balances; policy default/p: Maglev',
  ])
  t.deepEqual(said({ policies: [policy('p', { weights: [{ kind: 'node', node: 'n2', weight: 5 }] })] }), [
    'endpoints: weighted by the proxy, random over 2 by the kernel',
    'steering: to the proxy (by policy); when it is down: the kernel balances; policy default/p: the defaults',
  ])
  t.deepEqual(said({ routes: [route([to('api')])] }), [
    'endpoints: routed by the proxy, random over 2 by the kernel',
    'steering: to the proxy (by route); when it is down: the kernel balances; by TLS server name, TLSRoute default/r',
    'route: a.example → default/api:80',
  ])
})
