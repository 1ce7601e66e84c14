import test from 'ava'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { VIEW_VERSION, type ProxyView, type ViewFrontend } from '#agent/proxy/decision/view.ts'
import { unionView } from '#agent/sync/union-view.ts'

/** `10.0.0.1|80: a` in the generation; every Service port that is named is there. */
function view(generation: number, frontends: Readonly<Record<string, string>>): ProxyView {
  const key = (name: string): ServicePortKey => `default/${name}/TCP` as ServicePortKey
  const names = [...new Set(Object.values(frontends))]
  return {
    version: VIEW_VERSION,
    epoch: 'e',
    generation,
    node: { name: `n${generation}`, podCidrs: [], addresses: [] },
    frontends: Object.fromEntries(
      Object.entries(frontends).map(([place, name]) => [
        place,
        {
          service: key(name),
          kind: 'ClusterIP',
          pool: { pod: 'cluster', host: 'cluster', outside: 'cluster' },
        } satisfies ViewFrontend,
      ]),
    ),
    services: Object.fromEntries(
      names.map((name) => [
        key(name),
        { key: key(name), cluster: [{ ip: '10.1.1.1' as never, port: generation, local: true }], local: [] },
      ]),
    ),
  }
}

test('without a view before it is the next', (t) => {
  const next = view(1, { x: 'a' })
  t.deepEqual(unionView(undefined, next), { view: next, removes: false, adds: true })
  t.is(unionView(view(1, { x: 'a' }), view(2, { x: 'a' })).adds, false)
})

test('what goes stays with its Service until it may go', (t) => {
  const union = unionView(view(1, { x: 'a', y: 'b' }), view(2, { y: 'b', z: 'c' }))
  t.true(union.adds)
  t.true(union.removes)
  t.deepEqual(Object.keys(union.view.frontends).sort(), ['x', 'y', 'z'])
  t.deepEqual(Object.keys(union.view.services).sort(), ['default/a/TCP', 'default/b/TCP', 'default/c/TCP'])
})

test('what both have is as the next says: new endpoints are used at once', (t) => {
  const { view: both } = unionView(view(1, { x: 'a', y: 'a' }), view(2, { x: 'a' }))
  t.is(both.services['default/a/TCP' as ServicePortKey]?.cluster[0]?.port, 2)
  t.is(both.node.name, 'n2')
})

test('an address that moves to another Service is the new one', (t) => {
  const union = unionView(view(1, { x: 'a' }), view(2, { x: 'b' }))
  t.is(union.view.frontends['x']?.service, 'default/b/TCP' as ServicePortKey)
  t.false(union.removes)
})

test('what goes takes the backends of its routes along', (t) => {
  const before = view(1, { x: 'a', y: 'b' })
  const a = before.services['default/a/TCP' as ServicePortKey]
  const route = {
    route: 'default/r',
    hostname: '',
    backends: [
      { service: 'default/c/TCP' as ServicePortKey, pool: 'cluster' as const, weight: 1 },
      { service: null, pool: 'cluster' as const, weight: 1 },
    ],
  }
  if (a === undefined) return t.fail()
  const c = { ...a, key: 'default/c/TCP' as ServicePortKey }
  const routed: ProxyView = {
    ...before,
    services: { ...before.services, [a.key]: { ...a, tlsRoutes: [route] }, [c.key]: c },
  }
  const { view: both } = unionView(routed, view(2, { y: 'b' }))
  t.is(both.services[c.key], c)
})
