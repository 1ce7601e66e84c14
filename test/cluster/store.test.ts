import test from 'ava'
import { decodeDocument } from '../../agent/cluster/decode/document.ts'
import type { ClusterObject } from '../../agent/cluster/object.ts'
import { Store } from '../../agent/cluster/store.ts'
import { parseText } from '../../agent/cluster/yaml.ts'
import { serviceId } from '../../agent/model/ids.ts'
import { ENDPOINTS, NODE, ROUTE, SERVICE, SERVICE_CIDR, SLICE } from '../fixtures/malformed/bases.ts'

const WEB = serviceId('default', 'web')

function object(text: string): ClusterObject {
  const parsed = parseText(text)
  const decoded = parsed.kind === 'value' ? decodeDocument(parsed.value)[0]?.object : undefined
  if (decoded === undefined) throw new Error('the fixture is bad')
  return decoded
}

function filled(): { store: Store; changes: () => number } {
  const store = new Store({ nodeName: 'node-a', awaits: [] })
  store.batch(() => {
    for (const text of [SERVICE, SLICE, NODE, SERVICE_CIDR, ROUTE]) store.put(object(text))
  })
  let changes = 0
  store.subscribe(() => changes++)
  return { store, changes: () => changes }
}

test('a batch is one generation', (t) => {
  const { store } = filled()
  const { generation, services, slices, node, serviceCidrs, routes } = store.snapshot()
  t.is(generation, 1)
  t.is(services.get(WEB)?.ports[0]?.nodePort, 30_080)
  t.is(slices.get(WEB)?.length, 1)
  t.is(node?.name, 'node-a')
  t.deepEqual(serviceCidrs.map(String), ['10.96.0.0/16'])
  t.deepEqual(routes.get(WEB), [{ kind: 'HTTPRoute', id: 'default/web', service: WEB, port: 80 }])
})

test('an equal object changes nothing: same Snapshot, no notice', (t) => {
  const { store, changes } = filled()
  const before = store.snapshot()
  for (const text of [SERVICE, SLICE, NODE, SERVICE_CIDR, ROUTE]) store.put(object(text))
  t.is(store.snapshot(), before)
  t.is(changes(), 0)
})

test('a change that is taken back within a batch is none', (t) => {
  const { store, changes } = filled()
  const before = store.snapshot()
  store.batch(() => {
    store.put(object(SERVICE.replace('port: 80\n', 'port: 81\n')))
    store.delete('EndpointSlice', 'default/web-abc')
    store.put(object(SERVICE))
    store.put(object(SLICE))
  })
  t.is(store.snapshot(), before)
  t.is(changes(), 0)
})

test('what did not change keeps its identity beside what did', (t) => {
  const { store, changes } = filled()
  store.put(object(SERVICE.replace('name: web', 'name: other')))
  const before = store.snapshot()
  store.put(object(SERVICE.replace('port: 80\n', 'port: 81\n')))
  const after = store.snapshot()
  t.is(after.generation, before.generation + 1)
  t.is(changes(), 2)
  t.not(after.services, before.services)
  t.not(after.services.get(WEB), before.services.get(WEB))
  const other = serviceId('default', 'other')
  t.is(after.services.get(other), before.services.get(other))
  t.is(after.slices, before.slices)
  t.is(after.routes, before.routes)
  t.is(after.node, before.node)
})

test('a Snapshot handed out never changes', (t) => {
  const { store } = filled()
  const before = store.snapshot()
  store.delete('Service', 'default/web')
  store.delete('EndpointSlice', 'default/web-abc')
  t.true(before.services.has(WEB))
  t.is(before.slices.get(WEB)?.length, 1)
  t.false(store.snapshot().services.has(WEB))
  t.false(store.snapshot().slices.has(WEB))
})

test('slices of a Service are listed by name, whatever the order they came in', (t) => {
  const { store } = filled()
  store.put(object(SLICE.replace('web-abc', 'web-000')))
  t.deepEqual(
    store
      .snapshot()
      .slices.get(WEB)
      ?.map(({ id }) => id),
    ['default/web-000', 'default/web-abc'],
  )
})

test('a slice that changes its Service leaves the old one', (t) => {
  const { store } = filled()
  store.put(object(SLICE.replace('service-name: web', 'service-name: api')))
  t.false(store.snapshot().slices.has(WEB))
  t.is(store.snapshot().slices.get(serviceId('default', 'api'))?.length, 1)
})

test('Endpoints serve only while the Service has no EndpointSlice', (t) => {
  const { store } = filled()
  const before = store.snapshot()
  store.put(object(ENDPOINTS))
  t.is(store.snapshot(), before)
  store.delete('EndpointSlice', 'default/web-abc')
  t.deepEqual(
    store
      .snapshot()
      .slices.get(WEB)
      ?.map(({ id }) => id),
    ['default/web-endpoints-0-ipv4'],
  )
  store.put(object(SLICE))
  t.deepEqual(
    store
      .snapshot()
      .slices.get(WEB)
      ?.map(({ id }) => id),
    ['default/web-abc'],
  )
})

test('another Node changes nothing', (t) => {
  const { store, changes } = filled()
  store.put(object(NODE.replace('node-a', 'node-b')))
  t.is(changes(), 0)
  t.is(store.snapshot().node?.name, 'node-a')
})

test('a route that lets go of a Service no longer selects it', (t) => {
  const { store } = filled()
  store.put(object(ROUTE.replace('kind: Service\n      name: web', 'kind: Service\n      name: api')))
  t.false(store.snapshot().routes.has(WEB))
  t.true(store.snapshot().routes.has(serviceId('default', 'api')))
  store.delete('HTTPRoute', 'default/web')
  t.is(store.snapshot().routes.size, 0)
})

test('the store is synced when every awaited part is, and says so once', (t) => {
  const store = new Store({ nodeName: 'node-a', awaits: ['Service', 'EndpointSlice'] })
  let notices = 0
  const end = store.subscribe(() => notices++)
  store.markSynced('Service')
  t.false(store.synced())
  store.markSynced('EndpointSlice')
  store.markSynced('EndpointSlice')
  t.true(store.synced())
  t.is(notices, 1)
  end()
  store.put(object(SERVICE))
  t.is(notices, 1)
})
