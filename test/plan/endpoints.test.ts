// Rows 4 to 11 (merging) and 32 to 34, 41 to 45 (which endpoints), traps 5 to 7, 17 and 18.

import test from 'ava'
import { endpointPools, mergeSlices } from '#agent/plan/endpoints.ts'
import { hostPort } from '#agent/model/ip.ts'
import type { PlanEndpoint } from '#agent/plan/plan.ts'
import { aSlice, type EndpointText, type SliceText } from '../support/build.ts'

interface Row {
  readonly rows: string
  readonly it: string
  readonly slices: readonly SliceText[]
  /** Of the node; default z1. */
  readonly zone?: string
  /** `ip:port` without the common prefix 10.244., `!` for terminating. */
  readonly cluster: string
  readonly local: string
}

const LEAVING = { ready: false, terminating: true }
const GONE = { ready: false, serving: false, terminating: true }
const THERE = { nodeName: 'n2' }

const one = (...endpoints: (EndpointText | string)[]): SliceText[] => [{ endpoints }]
const at = (suffix: string, more: Partial<EndpointText> = {}): EndpointText => ({
  ip: `10.244.${suffix}`,
  ...more,
})

const ROWS: readonly Row[] = [
  {
    rows: '7, trap 17',
    it: 'takes the port from each slice, so named ports may differ between them',
    slices: [
      { id: 'a', endpoints: [at('1.1')], ports: [{ port: 8080 }] },
      { id: 'b', endpoints: [at('1.2')], ports: [{ port: 9090 }] },
    ],
    cluster: '1.1:8080 1.2:9090',
    local: '1.1:8080 1.2:9090',
  },
  {
    rows: '7',
    it: 'ignores slice ports of another name or protocol',
    slices: [
      {
        endpoints: [at('1.1')],
        ports: [
          { name: 'http', port: 1 },
          { protocol: 'UDP', port: 2 },
        ],
      },
    ],
    cluster: '',
    local: '',
  },
  {
    rows: '10, trap 17',
    it: 'takes one address with two ports for two endpoints',
    slices: [{ endpoints: [at('1.1')], ports: [{ port: 8080 }, { port: 8081 }] }],
    cluster: '1.1:8080 1.1:8081',
    local: '1.1:8080 1.1:8081',
  },
  {
    rows: '10',
    it: 'sorts by ip:port as text',
    slices: one(at('1.9'), at('1.10'), at('1.2')),
    cluster: '1.10:8080 1.2:8080 1.9:8080',
    local: '1.10:8080 1.2:8080 1.9:8080',
  },
  {
    rows: '10, trap 18',
    it: 'counts an endpoint in two slices once',
    slices: [
      { id: 'a', endpoints: [at('1.1'), at('1.2')] },
      { id: 'b', endpoints: [at('1.2'), at('1.3')] },
    ],
    cluster: '1.1:8080 1.2:8080 1.3:8080',
    local: '1.1:8080 1.2:8080 1.3:8080',
  },
  {
    rows: '11',
    it: 'prefers the record that is not terminating, whichever slice comes first',
    slices: [
      { id: 'a', endpoints: [at('1.1', GONE)] },
      { id: 'b', endpoints: [at('1.1')] },
      { id: 'c', endpoints: [at('1.1', LEAVING)] },
    ],
    cluster: '1.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '11',
    it: 'prefers a record that is not terminating and not ready over a terminating one that serves',
    slices: [
      { id: 'a', endpoints: [at('1.1', LEAVING)] },
      { id: 'b', endpoints: [at('1.1', { ready: false, serving: false })] },
    ],
    cluster: '',
    local: '',
  },
  {
    rows: '32',
    it: 'uses ready endpoints only, wherever they are',
    slices: one(at('1.1'), at('2.1', THERE), at('2.2', { ...THERE, ...LEAVING })),
    cluster: '1.1:8080 2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '32, 33',
    it: 'falls back to terminating endpoints that serve when none is ready',
    slices: one(at('1.1', LEAVING), at('2.1', { ...THERE, ...LEAVING }), at('2.2', { ...THERE, ...GONE })),
    cluster: '1.1:8080! 2.1:8080!',
    local: '1.1:8080!',
  },
  {
    rows: '33, trap 5',
    it: 'falls back for the local set alone when a ready one is elsewhere',
    slices: one(at('1.1', LEAVING), at('2.1', THERE)),
    cluster: '2.1:8080',
    local: '1.1:8080!',
  },
  {
    rows: '33, trap 5',
    it: 'does not use a local terminating endpoint beside a local ready one',
    slices: one(at('1.1', LEAVING), at('1.2')),
    cluster: '1.2:8080',
    local: '1.2:8080',
  },
  {
    rows: '34',
    it: 'never uses what does not serve',
    slices: one(at('1.1', GONE), at('1.2', { ready: false, serving: false })),
    cluster: '',
    local: '',
  },
  {
    rows: '34',
    it: 'does not take an unready endpoint that serves for a terminating one',
    slices: one(at('1.1', { ready: false })),
    cluster: '',
    local: '',
  },
  {
    rows: '9',
    it: 'takes a terminating endpoint that is published as ready for ready',
    slices: one(at('1.1', { terminating: true })),
    cluster: '1.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '33',
    it: 'takes an endpoint that names no node for one elsewhere',
    slices: one(at('1.1', { nodeName: '' })),
    cluster: '1.1:8080',
    local: '',
  },
  {
    rows: '41',
    it: 'keeps to the zone when every ready endpoint has a zone hint and one names it',
    slices: one(at('1.1', { zoneHints: ['z1', 'z2'] }), at('2.1', { ...THERE, zoneHints: ['z2'] })),
    cluster: '1.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '41, trap 7',
    it: 'uses all when one ready endpoint has no zone hint',
    slices: one(at('1.1', { zoneHints: ['z1'] }), at('2.1', THERE)),
    cluster: '1.1:8080 2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '41, trap 7',
    it: 'uses all when no hint names the zone',
    slices: one(at('1.1', { zoneHints: ['z3'] }), at('2.1', { ...THERE, zoneHints: ['z2'] })),
    cluster: '1.1:8080 2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '41, 45',
    it: 'uses all on a node without a zone',
    slices: one(at('1.1', { zoneHints: ['z1'] }), at('2.1', { ...THERE, zoneHints: [''] })),
    zone: '',
    cluster: '1.1:8080 2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '41, trap 6',
    it: 'does not ask unready endpoints for hints',
    slices: one(
      at('1.1', { zoneHints: ['z1'] }),
      at('2.1', { ...THERE, zoneHints: ['z2'] }),
      at('2.2', LEAVING),
    ),
    cluster: '1.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '32, trap 6',
    it: 'does not apply hints to the fallback',
    slices: one(
      at('1.1', { ...LEAVING, zoneHints: ['z1'] }),
      at('2.1', { ...THERE, ...LEAVING, zoneHints: ['z2'] }),
    ),
    cluster: '1.1:8080! 2.1:8080!',
    local: '1.1:8080!',
  },
  {
    rows: '42',
    it: 'tries node hints before zone hints',
    slices: one(
      at('1.1', { nodeHints: ['n2'], zoneHints: ['z1'] }),
      at('2.1', { ...THERE, nodeHints: ['n1'], zoneHints: ['z2'] }),
    ),
    cluster: '2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '42',
    it: 'falls to zone hints when one endpoint has no node hint',
    slices: one(
      at('1.1', { zoneHints: ['z1'] }),
      at('2.1', { ...THERE, nodeHints: ['n1'], zoneHints: ['z2'] }),
    ),
    cluster: '1.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '42',
    it: 'falls to zone hints when no node hint names this node',
    slices: one(
      at('1.1', { nodeHints: ['n3'], zoneHints: ['z2'] }),
      at('2.1', { ...THERE, nodeHints: ['n2'], zoneHints: ['z1'] }),
    ),
    cluster: '2.1:8080',
    local: '1.1:8080',
  },
  {
    rows: '43',
    it: 'never applies hints to the local set',
    slices: one(at('1.1', { zoneHints: ['z2'] }), at('2.1', { ...THERE, zoneHints: ['z1'] })),
    cluster: '2.1:8080',
    local: '1.1:8080',
  },
]

for (const row of ROWS) {
  test(`row ${row.rows}: ${row.it}`, (t) => {
    const place = { nodeName: 'n1', zone: row.zone ?? 'z1' }
    const slices = row.slices.map(aSlice)
    for (const order of [slices, slices.toReversed()]) {
      const pools = endpointPools(mergeSlices(order, 'IPv4', '', 'TCP'), place)
      t.is(texts(pools.cluster), row.cluster)
      t.is(texts(pools.local), row.local)
      t.is(pools.hasEndpoints, row.cluster !== '' || row.local !== '')
    }
  })
}

test('row 5: slices of the other family are not this family’s', (t) => {
  const slices = [aSlice({ endpoints: ['fd00:244:1::5'] })]
  t.is(mergeSlices(slices, 'IPv4', '', 'TCP').length, 0)
  t.is(mergeSlices(slices, 'IPv6', '', 'TCP')[0]?.key, '[fd00:244:1::5]:8080')
})

test('row 11: of two records that both stand, the same one wins in any order', (t) => {
  const here = aSlice({ id: 'a', endpoints: [at('1.1', { zoneHints: ['z1'] })] })
  const nowhere = aSlice({ id: 'b', endpoints: [at('1.1', { nodeName: '' })] })
  for (const slices of [
    [here, nowhere],
    [nowhere, here],
  ])
    t.is(mergeSlices(slices, 'IPv4', '', 'TCP')[0]?.endpoint.nodeName, 'n1')
})

test('an endpoint in both pools is one object, so that what is cached for it is cached once', (t) => {
  const pools = endpointPools(mergeSlices([aSlice({ endpoints: ['10.244.1.1'] })], 'IPv4', '', 'TCP'), {
    nodeName: 'n1',
    zone: '',
  })
  t.is(pools.cluster[0], pools.local[0])
})

function texts(pool: readonly PlanEndpoint[]): string {
  return pool
    .map(
      ({ ip, port, state }) =>
        hostPort(ip, port).slice('10.244.'.length) + (state === 'terminating' ? '!' : ''),
    )
    .join(' ')
}
