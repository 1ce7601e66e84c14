// The publisher and the proxy agree: a delta applied to the view that it starts from gives the view that it leads to.

import test from 'ava'
import * as fc from 'fast-check'
import {
  DEFAULT_CONNECTION_POLICY,
  DEFAULT_OUTLIER_POLICY,
  type ConnectionPolicy,
} from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { applyDelta } from '#agent/proxy/decision/apply.ts'
import { checkDelta, checkView } from '#agent/proxy/decision/view-check.ts'
import type { ProxyView, ViewFrontend, ViewService, ViewTlsRoute } from '#agent/proxy/decision/view.ts'
import { diffView } from '#agent/sync/publish.ts'
import { endpoint, frontend, ip, view } from '../views.ts'

const anyService = fc.constantFrom(
  'default/a/TCP',
  'default/b:web/TCP',
  'kube-system/c/TCP',
) as fc.Arbitrary<ServicePortKey>
const anyEndpoint = fc
  .record({
    host: fc.integer({ min: 1, max: 9 }),
    v6: fc.boolean(),
    port: fc.constantFrom(80, 8080),
    local: fc.boolean(),
    weight: fc.constantFrom(1, 1, 0, 7),
  })
  .map(({ host, v6, port, local, weight }) => ({
    ...endpoint(v6 ? `fd00::${host}:${port}` : `10.244.1.${host}:${port}`, local),
    ...(weight === 1 ? {} : { weight }),
  }))
const anyRoute: fc.Arbitrary<ViewTlsRoute> = fc.record(
  {
    route: fc.constantFrom('default/r', 'prod/r'),
    hostname: fc.constantFrom('', '*.example', 'a.example'),
    backends: fc.array(
      fc.record(
        {
          service: fc.option(anyService),
          pool: fc.constantFrom('cluster' as const, 'local' as const),
          weight: fc.nat({ max: 9 }),
        },
        { noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
  },
  { noNullPrototype: true },
)
const anyPolicy = fc
  .record({ outlier: fc.boolean(), maxConnections: fc.option(fc.integer({ min: 1, max: 9 })) })
  .map(({ outlier, maxConnections }): ConnectionPolicy => ({
    ...DEFAULT_CONNECTION_POLICY,
    ...(outlier ? { outlier: DEFAULT_OUTLIER_POLICY } : {}),
    limits: { fair: true, ...(maxConnections === null ? {} : { maxConnections }) },
  }))
const anyFrontend = fc
  .record({
    service: anyService,
    kind: fc.constantFrom<ViewFrontend['kind']>('ClusterIP', 'NodePort'),
    pool: fc.constantFrom('cluster' as const, 'local' as const),
  })
  .map(({ service, kind, pool }) => frontend(kind, pool, service))
const anyPorts = fc.dictionary(
  fc.constantFrom('10.96.0.1|80', '10.96.0.2|80', 'fd00:96::1|443', 'node|30080'),
  anyFrontend,
)
const anyServices = fc
  .dictionary(
    anyService,
    fc.record({
      cluster: fc.array(anyEndpoint, { maxLength: 4 }),
      local: fc.array(anyEndpoint, { maxLength: 2 }),
      affinity: fc.option(fc.integer({ min: 1, max: 99 })),
      policy: fc.option(anyPolicy),
      tlsRoutes: fc.option(fc.array(anyRoute, { maxLength: 3 })),
    }),
  )
  .map((made): Record<string, ViewService> =>
    Object.fromEntries(
      Object.entries(made).map(([key, { cluster, local, affinity, policy, tlsRoutes }]) => [
        key,
        {
          key: key as ServicePortKey,
          cluster,
          local,
          ...(affinity === null ? {} : { affinitySeconds: affinity }),
          ...(policy === null ? {} : { policy }),
          ...(tlsRoutes === null ? {} : { tlsRoutes }),
        },
      ]),
    ),
  )
const anyView = (generation: number): fc.Arbitrary<ProxyView> =>
  fc
    .record({ frontends: anyPorts, services: anyServices, address: fc.integer({ min: 1, max: 3 }) })
    .map(({ frontends, services, address }) =>
      view({
        generation,
        frontends,
        services,
        node: { name: 'a', podCidrs: [], addresses: [ip(`192.168.0.${address}`)] },
      }),
    )

test('applying the difference of two views to the first gives the second, also through JSON', (t) => {
  fc.assert(
    fc.property(anyView(3), anyView(7), (from, to) => {
      const delta = diffView(from, to)
      const checked = checkDelta(JSON.parse(JSON.stringify(delta)))
      if (checked.kind === 'bad') return t.fail(checked.reasons.join('\n'))
      t.deepEqual(applyDelta(from, checked.value), { kind: 'ok', view: to })
      t.deepEqual(checkView(JSON.parse(JSON.stringify(to))), { kind: 'ok', value: to })
    }),
    { numRuns: 500 },
  )
})
