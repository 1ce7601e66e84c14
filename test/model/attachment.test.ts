// Which port an attachment selects, and which of several policies or routes comes first.

import test from 'ava'
import { byAge, selectsPort, type Attachment } from '#agent/model/attachment.ts'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import { policiesOf, weightOf, type PolicyAttachment, type WeightRule } from '#agent/model/policy.ts'
import { isDisplaced, isGranted, tlsEntries, type RouteAttachment } from '#agent/model/route.ts'
import type { ServicePort } from '#agent/model/service.ts'
import { anEndpoint, cidr, idOf } from '../support/build.ts'

const HTTP: ServicePort = { name: 'http', protocol: 'TCP', port: 80, nodePort: 0 }
const TLS: ServicePort = { name: 'tls', protocol: 'TCP', port: 443, nodePort: 0 }
/** Its name is the number of another. */
const ODD: ServicePort = { name: '80', protocol: 'TCP', port: 8080, nodePort: 0 }

const SELECTIONS: readonly (readonly [
  it: string,
  selection: Pick<Attachment, 'port' | 'section'>,
  ports: readonly ServicePort[],
  selects: readonly ServicePort[],
])[] = [
  ['nothing said', {}, [HTTP, TLS], [HTTP, TLS]],
  ['a number', { port: 443 }, [HTTP, TLS], [TLS]],
  ['a name', { section: 'http' }, [HTTP, TLS], [HTTP]],
  ['a number as text', { section: '443' }, [HTTP, TLS], [TLS]],
  ['a text that is a name of one and the number of another', { section: '80' }, [HTTP, ODD], [ODD]],
  ['name and number that fit', { section: 'tls', port: 443 }, [HTTP, TLS], [TLS]],
  ['name and number that do not', { section: 'tls', port: 80 }, [HTTP, TLS], []],
]
for (const [it, selection, ports, selects] of SELECTIONS)
  test(`${it}: selects ${selects.map(({ name }) => name).join(', ') || 'none'}`, (t) => {
    t.deepEqual(
      ports.filter((port) => selectsPort(selection, port, ports)),
      selects,
    )
  })

test('the older comes first, then the smaller name, and what has no age comes last', (t) => {
  const made = (id: string, createdAtMs?: number): Attachment => {
    return { id, service: idOf('web'), ...(createdAtMs === undefined ? {} : { createdAtMs }) }
  }
  const sorted = [made('a/z'), made('a/a'), made('a/y', 5), made('a/b', 7), made('a/c', 5)].sort(byAge)
  t.deepEqual(
    sorted.map(({ id }) => id),
    ['a/c', 'a/y', 'a/b', 'a/a', 'a/z'],
  )
})

function policy(name: string, fields: Partial<PolicyAttachment> = {}): PolicyAttachment {
  const id = `default/${name}`
  return { id, service: idOf('web'), connection: DEFAULT_CONNECTION_POLICY, weights: [], ...fields }
}

test('a policy for the port beats an older one for the Service', (t) => {
  const policies = [policy('a', { createdAtMs: 1 }), policy('b', { createdAtMs: 2, section: 'http' })]
  const order = (port: ServicePort): string[] => policiesOf(port, [HTTP, TLS], policies).map(({ id }) => id)
  t.deepEqual(order(HTTP), ['default/b', 'default/a'])
  t.deepEqual(order(TLS), ['default/a'])
})

test('the first weight that matches holds, and 1 without a match', (t) => {
  const rules: readonly WeightRule[] = [
    { kind: 'addresses', cidrs: [cidr('10.244.1.0/24')], weight: 5 },
    { kind: 'zone', zone: 'a', weight: 0 },
    { kind: 'node', node: 'n2', weight: 7 },
  ]
  const weight = (ip: string, zone: string, nodeName: string): number =>
    weightOf(rules, anEndpoint({ ip, zone, nodeName }))
  t.is(weight('10.244.1.1', 'a', 'n2'), 5)
  t.is(weight('10.244.2.1', 'a', 'n2'), 0)
  t.is(weight('10.244.2.1', '', 'n2'), 7)
  t.is(weight('10.244.2.1', '', ''), 1)
})

function route(name: string, hostnames: readonly string[], createdAtMs?: number): RouteAttachment {
  return {
    kind: 'TLSRoute',
    id: `default/${name}`,
    service: idOf('web'),
    tls: { hostnames, backends: [] },
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
  }
}

test('exact names come before wildcards, long ones before short ones, every name last', (t) => {
  const entries = tlsEntries([
    route('a', ['', '*.example', '*.b.example']),
    route('b', ['x.b.example', 'long-name.example']),
  ])
  t.deepEqual(
    entries.map(({ hostname, route: { id } }) => `${hostname} ${id}`),
    [
      'long-name.example default/b',
      'x.b.example default/b',
      '*.b.example default/a',
      '*.example default/a',
      ' default/a',
    ],
  )
})

test('of two routes with one name the older has it', (t) => {
  const entries = tlsEntries([route('a', ['a.example'], 9), route('b', ['a.example', 'b.example'], 3)])
  t.deepEqual(
    entries.map(({ route: { id } }) => id),
    ['default/b', 'default/b'],
  )
})

test('an HTTPRoute of the Service’s namespace displaces TLSRoutes, one of another namespace does not', (t) => {
  const http = (id: string): RouteAttachment => ({ kind: 'HTTPRoute', id, service: idOf('web') })
  t.true(isDisplaced([route('a', ['']), http('default/h')]))
  t.false(isDisplaced([route('a', ['']), http('other/h')]))
})

test('a grant is from one namespace to one Service, or to all of its namespace', (t) => {
  const grants = [
    { namespace: 'shared', from: 'prod', service: idOf('shared/api') },
    { namespace: 'open', from: 'prod' },
  ]
  t.true(isGranted([], 'prod', idOf('prod/web')))
  t.true(isGranted(grants, 'prod', idOf('shared/api')))
  t.false(isGranted(grants, 'prod', idOf('shared/web')))
  t.false(isGranted(grants, 'test', idOf('shared/api')))
  t.true(isGranted(grants, 'prod', idOf('open/web')))
})
