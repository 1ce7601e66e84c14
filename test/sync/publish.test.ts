// What the proxy is told: steered TCP frontends with their pools, and nothing else.

import test from 'ava'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import type { PolicyAttachment } from '#agent/model/policy.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import { diffView, publishView } from '#agent/sync/publish.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { aService, aSlice, idOf, planOf, someOptions, type SnapshotParts } from '../support/build.ts'

const HERE = '10.244.1.5'
const THERE = { ip: '10.244.2.5', nodeName: 'n2' }
const STEERED: SnapshotParts = {
  services: [
    aService({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      steer: 'always',
      ports: [{ nodePort: 30080 }],
      affinity: { kind: 'ClientIP', timeoutSeconds: 60 },
    }),
    aService({ name: 'plain', clusterIps: ['10.96.0.11'] }),
  ],
  slices: [aSlice({ endpoints: [HERE, THERE] }), aSlice({ service: 'plain', endpoints: [HERE] })],
}

function view(parts: SnapshotParts, options: Partial<PlanOptions> = {}, epoch = 'e1'): ProxyView {
  return publishView(planOf(parts, options), { epoch })
}

test('a view has the steered frontends, their pools by client, and the endpoints', (t) => {
  const service = 'default/web/TCP'
  t.deepEqual(JSON.parse(JSON.stringify(view(STEERED))), {
    version: 2,
    epoch: 'e1',
    generation: 1,
    node: {
      name: 'n1',
      podCidrs: ['10.244.0.0/16', 'fd00:244::/48'],
      addresses: ['192.168.0.10', 'fd00:168::10'],
    },
    frontends: {
      '10.96.0.10|80': {
        service,
        kind: 'ClusterIP',
        pool: { pod: 'cluster', host: 'cluster', outside: 'cluster' },
      },
      'node|30080': {
        service,
        kind: 'NodePort',
        pool: { pod: 'cluster', host: 'cluster', outside: 'local' },
      },
    },
    services: {
      [service]: {
        key: service,
        cluster: [
          { ip: HERE, port: 8080, local: true },
          { ip: THERE.ip, port: 8080, local: false },
        ],
        local: [{ ip: HERE, port: 8080, local: true }],
        affinitySeconds: 60,
      },
    },
  })
})

test('nothing steered: no frontends and no Services, but the node', (t) => {
  const { frontends, services, node } = view(STEERED, { steer: 'never' })
  t.deepEqual({ frontends, services }, { frontends: {}, services: {} })
  t.is(node.name, 'n1')
})

test('Pods told by a device leave the proxy without ranges', (t) => {
  t.deepEqual(view({}, { localDetector: { kind: 'bridgeInterface', name: 'cni0' } }).node.podCidrs, [])
})

test('a Service steered in both families is one entry with the endpoints of both', (t) => {
  const services = [aService({ clusterIps: ['10.96.0.10', 'fd00:96::10'], steer: 'always' })]
  const v6 = aSlice({ id: 'default/six', endpoints: ['fd00:244:1::5'] })
  const both = view({ services, slices: [aSlice({ endpoints: [HERE] }), v6] })
  t.deepEqual(Object.keys(both.frontends), ['10.96.0.10|80', 'fd00:96::10|80'])
  t.deepEqual(
    Object.values(both.services).map(({ cluster }) => cluster.map(({ ip }) => String(ip))),
    [[HERE, 'fd00:244:1::5']],
  )
})

test('an entry keeps its identity as long as the plan keeps its Service ports', (t) => {
  const services = [aService({ clusterIps: ['10.96.0.10', 'fd00:96::10'] })]
  const v6 = aSlice({ id: 'default/six', endpoints: ['fd00:244:1::5'] })
  const parts = { services, slices: [aSlice({ endpoints: [HERE] }), v6], policies: [POLICY] }
  const plan = planOf(parts)
  const [one, two] = [publishView(plan, { epoch: 'e1' }), publishView(plan, { epoch: 'e1' })]
  t.is(one.services[WEB], two.services[WEB])
  t.is(one.services[WEB]?.policy, POLICY.connection)
})

test('a delta names what came, changed and went', (t) => {
  const from = view(STEERED)
  const to = view({
    generation: 2,
    services: [
      aService({ steer: 'always', clusterIps: ['10.96.0.10'] }),
      aService({ name: 'plain', clusterIps: ['10.96.0.11'], steer: 'always' }),
    ],
    slices: STEERED.slices ?? [],
  })
  const delta = diffView(from, to)
  t.deepEqual(delta?.frontends, {
    '10.96.0.11|80': to.frontends['10.96.0.11|80'] ?? null,
    'node|30080': null,
  })
  t.deepEqual(Object.keys(delta?.services ?? {}), ['default/plain/TCP', 'default/web/TCP'])
  t.is(delta?.node, undefined)
})

test('equal content gives an empty delta that moves the generation', (t) => {
  t.deepEqual(diffView(view(STEERED), view({ ...STEERED, generation: 3 })), {
    version: 2,
    epoch: 'e1',
    from: 1,
    to: 3,
    frontends: {},
    services: {},
  })
})

test('no delta leads to another epoch or back', (t) => {
  const now = view({ ...STEERED, generation: 2 })
  t.is(diffView(view(STEERED, {}, 'e0'), now), undefined)
  t.is(diffView(now, view(STEERED)), undefined)
  t.is(diffView(now, view({ ...STEERED, generation: 2 })), undefined)
})

test('the node’s facts are in the delta if they changed', (t) => {
  const delta = diffView(view(STEERED), view({ ...STEERED, generation: 2, node: null }))
  t.deepEqual(delta?.node, { name: 'n1', podCidrs: [...someRanges()], addresses: [] })
})

const POLICY: PolicyAttachment = {
  id: 'default/p',
  service: idOf('web'),
  connection: { ...DEFAULT_CONNECTION_POLICY, limits: { fair: true, maxConnections: 10 } },
  weights: [{ kind: 'node', node: 'n2', weight: 3 }],
}
const WEB = 'default/web/TCP' as ServicePortKey
const API = 'default/api/TCP' as ServicePortKey
const ROUTED: SnapshotParts = {
  services: [
    aService(),
    aService({ name: 'api', clusterIps: ['10.96.0.11'], internalTrafficPolicy: 'Local', steer: 'never' }),
  ],
  slices: [aSlice({ endpoints: [HERE] }), aSlice({ service: 'api', endpoints: [HERE, THERE] })],
  routes: [
    {
      kind: 'TLSRoute',
      id: 'default/r',
      service: idOf('web'),
      tls: {
        hostnames: ['a.example'],
        backends: [
          { target: { service: idOf('api'), port: 80 }, weight: 2 },
          { target: { service: idOf('gone'), port: 80 }, weight: 1 },
        ],
      },
    },
  ],
}

test('a policy and its weights come with the Service port', (t) => {
  const service = view({ services: [aService()], slices: STEERED.slices ?? [], policies: [POLICY] }).services[
    WEB
  ]
  t.is(service?.policy, POLICY.connection)
  t.deepEqual(
    service?.cluster.map(({ weight }) => weight),
    [undefined, 3],
  )
})

test('a policy that says nothing but the defaults is left out', (t) => {
  const connection = structuredClone(DEFAULT_CONNECTION_POLICY)
  const made = view({
    services: [aService()],
    slices: STEERED.slices ?? [],
    policies: [{ ...POLICY, connection, weights: [] }],
  })
  t.deepEqual(Object.keys(made.services), [WEB])
  t.false('policy' in (made.services[WEB] ?? {}))
})

test('a backend of a route is a Service port of the view without a frontend; a bad reference keeps its weight', (t) => {
  const { frontends, services } = view(ROUTED)
  t.deepEqual(Object.keys(frontends), ['10.96.0.10|80'])
  t.deepEqual(services[WEB]?.tlsRoutes, [
    {
      route: 'default/r',
      hostname: 'a.example',
      backends: [
        { service: API, pool: 'local', weight: 2 },
        { service: null, pool: 'cluster', weight: 1 },
      ],
    },
  ])
  t.deepEqual(
    services[API]?.cluster.map(({ ip }) => String(ip)),
    [HERE, THERE.ip],
  )
  t.false('tlsRoutes' in (services[API] ?? {}))
})

test('a delta follows the endpoints of a backend, and takes its entry away with the route', (t) => {
  const from = view(ROUTED)
  const fewer = view({
    ...ROUTED,
    generation: 2,
    slices: [aSlice({ endpoints: [HERE] }), aSlice({ service: 'api', endpoints: [HERE] })],
  })
  t.deepEqual(diffView(from, fewer)?.services, { [API]: fewer.services[API] ?? null })
  const without = view({ ...ROUTED, generation: 3, routes: [], policies: [POLICY] })
  t.deepEqual(diffView(from, without)?.services, { [WEB]: without.services[WEB] ?? null, [API]: null })
})

test('a backend that has no address on this node is an entry without endpoints', (t) => {
  const [web] = ROUTED.services ?? []
  const api = aService({ name: 'api', clusterIps: ['fd00:96::11'] })
  const made = view({ ...ROUTED, services: [web ?? api, api] }, { families: ['IPv4'] })
  t.deepEqual(made.services[API], { key: API, cluster: [], local: [] })
})

function someRanges(): readonly string[] {
  const { localDetector } = someOptions()
  return localDetector.kind === 'clusterCidr' ? localDetector.cidrs : []
}
