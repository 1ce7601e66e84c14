// What the proxy is told: steered TCP frontends with their pools, and nothing else.

import test from 'ava'
import type { PlanOptions } from '#agent/plan/plan.ts'
import { diffView, publishView } from '#agent/sync/publish.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { aService, aSlice, planOf, someOptions, type SnapshotParts } from '../support/build.ts'

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

function someRanges(): readonly string[] {
  const { localDetector } = someOptions()
  return localDetector.kind === 'clusterCidr' ? localDetector.cidrs : []
}
