// What buildPlan keeps, what it rebuilds, and who wins an address that two Services claim.

import test from 'ava'
import { buildPlan } from '#agent/plan/build.ts'
import type { Plan } from '#agent/plan/plan.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import {
  aNode,
  aService,
  aSlice,
  aSnapshot,
  idOf,
  ip,
  planOf,
  someOptions,
  type ServiceText,
} from '../support/build.ts'

const WEB = 'default/web/TCP' as ServicePortKey
const API = 'default/api/TCP' as ServicePortKey

const web = aService()
const api = aService({ name: 'api', clusterIps: ['10.96.0.11'] })
const webSlice = aSlice({ endpoints: ['10.244.1.5'] })
const apiSlice = aSlice({ service: 'api', endpoints: ['10.244.1.6'] })
const BASE = { services: [web, api], slices: [webSlice, apiSlice] }

const port = (plan: Plan, key: ServicePortKey) => plan.families.IPv4?.ports.get(key)
const keys = (plan: Plan): string[] => [...(plan.families.IPv4?.ports.keys() ?? [])]

function step(change: (snapshot: Snapshot) => Partial<Snapshot>): {
  before: Plan
  after: Plan
  snapshot: Snapshot
} {
  const snapshot = aSnapshot(BASE)
  const before = buildPlan(snapshot, someOptions())
  const next = { ...snapshot, generation: 2, ...change(snapshot) }
  return { before, after: buildPlan(next, someOptions(), { snapshot, plan: before }), snapshot }
}

test('Service ports are in key order, whatever the order of the Snapshot', (t) => {
  t.deepEqual(keys(planOf(BASE)), [API, WEB])
  t.deepEqual(keys(planOf({ ...BASE, services: [api, web] })), [API, WEB])
})

test('a changed slice rebuilds its Service port and keeps the other’s object', (t) => {
  const { before, after } = step(({ slices }) => ({
    slices: new Map(slices).set(web.id, [aSlice({ endpoints: ['10.244.1.7'] })]),
  }))
  t.is(port(after, WEB)?.cluster[0]?.ip, ip('10.244.1.7'))
  t.is(port(after, API), port(before, API))
  t.is(after.generation, 2)
})

test('row 13: a new object with the same content keeps the Service port and even the map', (t) => {
  const { before, after } = step(({ services, slices }) => ({
    services: new Map(services).set(web.id, { ...web }),
    slices: new Map(slices).set(web.id, [{ ...webSlice, changedAtMs: 5 }]),
  }))
  t.is(port(after, WEB), port(before, WEB))
  t.is(after.families.IPv4, before.families.IPv4)
})

test('a Service that goes takes its Service ports along, one that comes is put in its place', (t) => {
  const { after } = step(({ services }) => {
    const next = new Map(services)
    next.delete(web.id)
    const db = aService({ name: 'db', clusterIps: ['10.96.0.12'] })
    return { services: next.set(db.id, db) }
  })
  t.deepEqual(keys(after), [API, 'default/db/TCP'])
})

test('a Service port that a Service no longer has goes too', (t) => {
  const { after } = step(({ services }) => ({
    services: new Map(services).set(web.id, aService({ ports: [{ name: 'http' }] })),
  }))
  t.deepEqual(keys(after), [API, 'default/web:http/TCP'])
})

test('slices of a Service that does not exist make nothing, and count when it comes', (t) => {
  const orphan = aSlice({ service: 'db', endpoints: ['10.244.1.8'] })
  const snapshot = aSnapshot({ ...BASE, slices: [...BASE.slices, orphan] })
  const plan = buildPlan(snapshot, someOptions())
  t.deepEqual(keys(plan), [API, WEB])
  const db = aService({ name: 'db', clusterIps: ['10.96.0.12'] })
  const next = { ...snapshot, services: new Map(snapshot.services).set(db.id, db) }
  const after = buildPlan(next, someOptions(), { snapshot, plan })
  t.is(port(after, 'default/db/TCP' as ServicePortKey)?.cluster.length, 1)
})

test('row 45: another zone rebuilds; another taint does not', (t) => {
  const hinted = [
    aSlice({
      endpoints: [
        { ip: '10.244.1.5', zoneHints: ['z1'] },
        { ip: '10.244.2.5', zoneHints: ['z2'] },
      ],
    }),
  ]
  const snapshot = aSnapshot({ services: [web], slices: hinted })
  const plan = buildPlan(snapshot, someOptions())
  const seen = (node: ReturnType<typeof aNode>): string | undefined => {
    const after = buildPlan({ ...snapshot, node }, someOptions(), { snapshot, plan })
    return port(after, WEB)
      ?.cluster.map((endpoint) => endpoint.ip)
      .join()
  }
  t.is(seen(aNode({ zone: 'z2' })), '10.244.2.5')
  t.is(seen(aNode({ taints: ['ToBeDeletedByClusterAutoscaler'] })), '10.244.1.5')
})

test('row 25: another address of the node rebuilds the source filters', (t) => {
  const guarded = aService({
    type: 'LoadBalancer',
    loadBalancer: ['198.51.100.1'],
    sourceRanges: ['192.168.0.0/24'],
  })
  const snapshot = aSnapshot({ services: [guarded], slices: [webSlice], node: aNode({ addresses: [] }) })
  const plan = buildPlan(snapshot, someOptions())
  const after = buildPlan({ ...snapshot, node: aNode() }, someOptions(), { snapshot, plan })
  const selfIps = (of: Plan): number | undefined => port(of, WEB)?.frontends[1]?.sources?.selfIps.length
  t.is(selfIps(plan), 0)
  t.is(selfIps(after), 1)
})

test('a ServiceCIDR changes the family’s facts and no Service port', (t) => {
  const { before, after } = step(() => ({ serviceCidrs: [] }))
  t.deepEqual(after.families.IPv4?.serviceCidrs, [])
  t.is(after.families.IPv4?.ports, before.families.IPv4?.ports)
})

test('row 72: the health port is for load balancers with external policy Local', (t) => {
  const healthPort = (text: ServiceText): number | undefined =>
    port(planOf({ services: [aService({ healthCheckNodePort: 32000, ...text })] }), WEB)?.healthCheckNodePort
  t.is(healthPort({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' }), 32000)
  t.is(healthPort({ type: 'LoadBalancer' }), 0)
  t.is(healthPort({ type: 'NodePort', externalTrafficPolicy: 'Local' }), 0)
})

test('row 6: TCP, UDP and SCTP of one number are three Service ports', (t) => {
  const protocols = ['TCP', 'UDP', 'SCTP'] as const
  const dns = aService({ ports: protocols.map((protocol) => ({ port: 53, protocol })) })
  const slice = aSlice({
    endpoints: ['10.244.1.5'],
    ports: protocols.map((protocol, i) => ({ protocol, port: 5300 + i })),
  })
  const plan = planOf({ services: [dns], slices: [slice] })
  t.deepEqual(
    [...(plan.families.IPv4?.ports.values() ?? [])].map(({ key, cluster }) => `${key} ${cluster[0]?.port}`),
    ['default/web/SCTP 5302', 'default/web/TCP 5300', 'default/web/UDP 5301'],
  )
  t.deepEqual(plan.families.IPv4?.conflicts, [])
})

test('only the families of the options are planned', (t) => {
  t.deepEqual(Object.keys(planOf(BASE, { families: ['IPv6'] }).families), ['IPv6'])
  t.deepEqual(Object.keys(planOf(BASE, { families: ['IPv6', 'IPv4'] }).families), ['IPv4', 'IPv6'])
})

test('of two claims on an external IP the first key has it, and the other is named', (t) => {
  const services = [
    aService({ name: 'b', clusterIps: ['10.96.0.2'], externalIps: ['203.0.113.1'] }),
    aService({ name: 'a', clusterIps: ['10.96.0.1'], externalIps: ['203.0.113.1'] }),
    aService({ name: 'c', clusterIps: ['10.96.0.3'], externalIps: ['203.0.113.1'] }),
  ]
  const plan = planOf({ services })
  t.deepEqual(plan.families.IPv4?.conflicts, [
    {
      ip: ip('203.0.113.1'),
      port: 80,
      protocol: 'TCP',
      winner: 'default/a/TCP' as ServicePortKey,
      losers: ['default/b/TCP', 'default/c/TCP'] as ServicePortKey[],
    },
  ])
  const kinds = (name: string): string[] | undefined =>
    port(plan, `default/${name}/TCP` as ServicePortKey)?.frontends.map(({ kind }) => kind)
  t.deepEqual(kinds('a'), ['ClusterIP', 'ExternalIP'])
  t.deepEqual(kinds('b'), ['ClusterIP'])
})

test('an external IP does not take a ClusterIP from its Service, whatever the names', (t) => {
  const thief = aService({ name: 'a-thief', clusterIps: ['10.96.0.66'], externalIps: ['10.96.0.10'] })
  const plan = planOf({ services: [thief, web] })
  t.is(plan.families.IPv4?.conflicts[0]?.winner, WEB)
  t.is(port(plan, WEB)?.frontends[0]?.ip, ip('10.96.0.10'))
})

test('when the winner goes, the loser gets the address; when it comes back, it loses it again', (t) => {
  const external = { externalIps: ['203.0.113.1'] }
  const first = aService({ name: 'a', clusterIps: ['10.96.0.1'], ...external })
  const second = aService({ name: 'b', clusterIps: ['10.96.0.2'], ...external })
  const both = aSnapshot({ services: [first, second] })
  const kinds = (plan: Plan): string | undefined =>
    port(plan, 'default/b/TCP' as ServicePortKey)
      ?.frontends.map(({ kind }) => kind)
      .join()
  const start = buildPlan(both, someOptions())
  t.is(kinds(start), 'ClusterIP')
  const alone = { ...both, services: new Map([[second.id, second]]) }
  const without = buildPlan(alone, someOptions(), { snapshot: both, plan: start })
  t.is(kinds(without), 'ClusterIP,ExternalIP')
  t.deepEqual(without.families.IPv4?.conflicts, [])
  const back = buildPlan(both, someOptions(), { snapshot: alone, plan: without })
  t.is(kinds(back), 'ClusterIP')
  t.is(back.families.IPv4?.conflicts.length, 1)
})

test('thousands of Services that claim one address are planned in linear time', (t) => {
  const services = Array.from({ length: 5_000 }, (_, i) =>
    aService({
      name: `s${i}`,
      clusterIps: [`10.97.${i >> 8}.${i & 255}`],
      externalIps: ['203.0.113.1'],
      type: 'NodePort',
      ports: [{ nodePort: 30080 }],
    }),
  )
  const started = performance.now()
  const plan = planOf({ services })
  t.true(performance.now() - started < 5_000)
  t.deepEqual(
    plan.families.IPv4?.conflicts.map(({ winner, losers }) => `${winner} ${losers.length}`),
    ['default/s0/TCP 4999', 'default/s0/TCP 4999'],
  )
})

test('a NodePort that two Services claim goes to the first key', (t) => {
  const ports = [{ nodePort: 30080 }]
  const services = [web, api].map(({ name, clusterIps }) =>
    aService({ name, clusterIps, type: 'NodePort', ports }),
  )
  const plan = planOf({ services })
  t.like(plan.families.IPv4?.conflicts[0], { ip: undefined, port: 30080, winner: API, losers: [WEB] })
})

test('routes of one Service reach that Service alone', (t) => {
  const { before, after } = step(() => ({
    routes: new Map([[idOf('web'), [{ kind: 'HTTPRoute' as const, id: 'default/r', service: idOf('web') }]]]),
  }))
  t.is(port(before, WEB)?.steering.kind, 'none')
  t.is(port(after, WEB)?.steering.kind, 'steered')
  t.is(port(after, API), port(before, API))
})
