// The names of changes and the lines that people read of them. That a delta patches is a property test.

import test from 'ava'
import { diffPlan, isEmptyDelta, patchPlan } from '#agent/plan/diff.ts'
import type { PlanOptions } from '#agent/plan/plan.ts'
import { summarizeDelta } from '#agent/plan/summary.ts'
import { aNode, aService, aSlice, planOf, type SnapshotParts } from '../support/build.ts'

const V4: Partial<PlanOptions> = { families: ['IPv4'] }
const HERE = '10.244.1.5'
const THERE = { ip: '10.244.2.5', nodeName: 'n2' }
const BASE: SnapshotParts = { services: [aService()], slices: [aSlice({ endpoints: [HERE, THERE] })] }

interface Row {
  readonly it: string
  readonly from?: SnapshotParts
  readonly to: SnapshotParts
  readonly options?: Partial<PlanOptions>
  readonly want: readonly string[]
}

const ROWS: readonly Row[] = [
  { it: 'nothing', to: { ...BASE, generation: 7 }, want: [] },
  {
    it: 'a new Service',
    from: {},
    to: BASE,
    want: ['+ IPv4 default/web/TCP  ClusterIP 10.96.0.10:80 → 2 endpoints'],
  },
  {
    it: 'a Service that goes',
    to: {},
    want: ['- IPv4 default/web/TCP  ClusterIP 10.96.0.10:80 → 2 endpoints'],
  },
  {
    it: 'endpoints that come and go',
    to: { ...BASE, slices: [aSlice({ endpoints: [HERE, { ...THERE, ip: '10.244.2.6' }] })] },
    want: ['~ IPv4 default/web/TCP  endpoints +10.244.2.6:8080 -10.244.2.5:8080'],
  },
  {
    it: 'the last endpoint goes',
    from: { ...BASE, slices: [aSlice({ endpoints: [HERE] })] },
    to: { ...BASE, slices: [] },
    want: [
      '~ IPv4 default/web/TCP  ClusterIP 10.96.0.10:80 cluster/cluster masqueraded/cluster masqueraded → reject' +
        ' · endpoints -10.244.1.5:8080 · local endpoints -10.244.1.5:8080 · hasEndpoints true → false',
    ],
  },
  {
    it: 'another address',
    to: { ...BASE, services: [aService({ type: 'NodePort', ports: [{ nodePort: 30080 }] })] },
    want: ['~ IPv4 default/web/TCP  addresses +NodePort 30080'],
  },
  {
    it: 'steering',
    to: { ...BASE, services: [aService({ steer: 'always' })] },
    want: [
      '~ IPv4 default/web/TCP  addresses differ in source ranges or steering · not steered → steered (annotation)',
    ],
  },
  {
    it: 'affinity',
    to: { ...BASE, services: [aService({ affinity: { kind: 'ClientIP', timeoutSeconds: 60 } })] },
    want: ['~ IPv4 default/web/TCP  affinitySeconds none → 60'],
  },
  {
    it: 'the zone of an endpoint',
    to: { ...BASE, slices: [aSlice({ endpoints: [HERE, { ...THERE, zone: 'z2' }] })] },
    want: ['~ IPv4 default/web/TCP  endpoints differ'],
  },
  {
    it: 'the node',
    to: { ...BASE, node: aNode({ addresses: ['192.168.0.11'] }) },
    want: ['~ IPv4 node: addresses, Pod detection or NodePort addresses'],
  },
  {
    it: 'a conflict',
    from: {
      services: [
        aService({ externalIps: ['203.0.113.1'] }),
        aService({ name: 'b', clusterIps: ['10.96.0.2'] }),
      ],
    },
    to: {
      services: [
        aService({ externalIps: ['203.0.113.1'] }),
        aService({ name: 'b', clusterIps: ['10.96.0.2'], externalIps: ['203.0.113.1'] }),
      ],
    },
    want: [
      '~ IPv4 default/b/TCP  addresses +ExternalIP 203.0.113.1:80',
      '~ IPv4 default/web/TCP  addresses -ExternalIP 203.0.113.1:80',
      '! IPv4 203.0.113.1:80/TCP goes to default/b/TCP, not to default/web/TCP',
    ],
  },
  { it: 'options', to: BASE, options: { localhostNodePorts: false, steer: 'never' }, want: ['~ options'] },
]

for (const row of ROWS) {
  test(`${row.it} in words`, (t) => {
    const from = planOf(row.from ?? BASE, V4)
    const to = planOf(row.to, { ...V4, ...row.options })
    const delta = diffPlan(from, to)
    const lines = summarizeDelta(delta)
    if (row.options === undefined) t.deepEqual(lines, [...row.want])
    else for (const line of row.want) t.true(lines.includes(line), lines.join('\n'))
    t.is(isEmptyDelta(delta), row.want.length === 0)
    t.deepEqual(patchPlan(from, delta), to)
  })
}

test('a family that comes or goes', (t) => {
  const both = planOf(BASE)
  const one = planOf(BASE, V4)
  t.is(diffPlan(both, one).families.IPv6, null)
  t.true(summarizeDelta(diffPlan(both, one)).includes('- IPv6'))
  t.deepEqual(patchPlan(one, diffPlan(one, both)), both)
})

test('the changed fields are named', (t) => {
  const to = planOf({ ...BASE, slices: [aSlice({ endpoints: [HERE] })] }, V4)
  const [change] = diffPlan(planOf(BASE, V4), to).families.IPv4?.ports ?? []
  t.like(change, { kind: 'changed', key: 'default/web/TCP', what: ['cluster'] })
})
