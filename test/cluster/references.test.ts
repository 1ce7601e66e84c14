// Warnings about good objects that do not fit each other: they come and go as the others do, and name file and line.

import test from 'ava'
import { Folder } from '#agent/cluster/folder.ts'
import { formatProblem } from '#agent/model/errors.ts'

interface Row {
  readonly it: string
  readonly documents: readonly object[]
  /** `object: field: message`. */
  readonly says: readonly string[]
}

const GATEWAY = 'gateway.networking.k8s.io'

function object(apiVersion: string, kind: string, name: string, spec: object, metadata: object = {}): object {
  return { apiVersion, kind, metadata: { name, ...metadata }, spec }
}

function service(name: string, spec: object = {}, metadata: object = {}): object {
  const ports = [
    { name: 'http', port: 80 },
    { name: 'tls', port: 443 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ]
  return object('v1', 'Service', name, { clusterIP: '10.96.0.10', ports, ...spec }, metadata)
}

function policy(name: string, targets: readonly object[], metadata: object = {}, spec: object = {}): object {
  return object('shunt.dev/v1alpha1', 'TrafficPolicy', name, { targetRefs: targets, ...spec }, metadata)
}

function tlsRoute(name: string, backend: object, fields: object = {}, metadata: object = {}): object {
  const parentRefs = [{ group: '', kind: 'Service', name: 'web', port: 443 }]
  const spec = { parentRefs, rules: [{ backendRefs: [backend] }], ...fields }
  return object(`${GATEWAY}/v1`, 'TLSRoute', name, spec, metadata)
}

const WEB = { name: 'web' }
const API = { name: 'api', port: 443 }
const SHARED = service('api', {}, { namespace: 'shared' })
const GRANT = object(
  `${GATEWAY}/v1beta1`,
  'ReferenceGrant',
  'g',
  {
    from: [{ group: GATEWAY, kind: 'TLSRoute', namespace: 'default' }],
    to: [{ group: '', kind: 'Service' }],
  },
  { namespace: 'shared' },
)

const ROWS: readonly Row[] = [
  { it: 'a policy for a Service that is there', documents: [service('web'), policy('p', [WEB])], says: [] },
  {
    it: 'a policy for a Service that is not there',
    documents: [policy('p', [{ name: 'gone' }, WEB]), service('web')],
    says: [
      'TrafficPolicy default/p: spec.targetRefs[0]: there is no Service default/gone; the policy waits for it',
    ],
  },
  {
    it: 'a policy for a port that is not there',
    documents: [service('web'), policy('p', [{ ...WEB, sectionName: 'web' }])],
    says: [
      'TrafficPolicy default/p: spec.targetRefs[0]: Service default/web has no port web; it has http, tls and dns',
    ],
  },
  {
    it: 'a policy for a port that the proxy cannot carry',
    documents: [service('web'), policy('p', [{ ...WEB, sectionName: 'dns' }])],
    says: [
      'TrafficPolicy default/p: spec.targetRefs[0]: the selected ports of Service default/web are not TCP, which is all that the proxy carries',
    ],
  },
  {
    it: 'a policy for a headless Service',
    documents: [service('web', { clusterIP: 'None' }), policy('p', [WEB])],
    says: [
      'TrafficPolicy default/p: spec.targetRefs[0]: Service default/web has no ClusterIP, so its connections never reach the proxy',
    ],
  },
  {
    it: 'two policies for one Service: the first by name holds',
    documents: [service('web'), policy('b', [WEB]), policy('a', [WEB])],
    says: [
      'TrafficPolicy default/b: spec.targetRefs[0]: port 80 of Service default/web follows TrafficPolicy default/a, which is first by name',
    ],
  },
  {
    it: 'two policies for one Service: the older holds',
    documents: [
      service('web'),
      policy('b', [WEB], { creationTimestamp: '2026-01-01T00:00:00Z' }),
      policy('a', [WEB], { creationTimestamp: '2026-01-01T00:00:01Z' }),
    ],
    says: [
      'TrafficPolicy default/a: spec.targetRefs[0]: port 80 of Service default/web follows TrafficPolicy default/b, which is older',
    ],
  },
  {
    it: 'a policy for one port beside one for the others is as intended',
    documents: [service('web'), policy('a', [WEB]), policy('b', [{ ...WEB, sectionName: 'http' }])],
    says: [],
  },
  {
    it: 'a policy that others beat on every port',
    documents: [
      service('web'),
      policy('a', [WEB]),
      policy('b', [
        { ...WEB, sectionName: 'http' },
        { ...WEB, sectionName: '443' },
      ]),
    ],
    says: [
      'TrafficPolicy default/a: spec.targetRefs[0]: port 80 of Service default/web follows TrafficPolicy default/b, which names the port',
    ],
  },
  {
    it: 'one policy that selects a port twice does not lose to itself',
    documents: [service('web'), policy('a', [WEB, { ...WEB, sectionName: 'http' }])],
    says: [],
  },
  {
    it: 'PROXY headers that the kernel would not write',
    documents: [service('web'), policy('p', [WEB], {}, { proxyProtocol: { toEndpoints: 'V2' } })],
    says: [
      'TrafficPolicy default/p: spec.proxyProtocol: while the proxy is down, connections of Service default/web go on without the proxyProtocol of the policy',
    ],
  },
  {
    it: 'PROXY headers of a Service that is not reached around the proxy',
    documents: [
      service('web', {}, { annotations: { 'shunt.dev/when-proxy-down': 'reject' } }),
      policy('p', [WEB], {}, { proxyProtocol: { acceptFrom: ['10.0.0.0/8'] } }),
    ],
    says: [],
  },
  {
    it: 'a TLSRoute whose Services are there',
    documents: [service('web'), service('api', { clusterIP: '10.96.0.11' }), tlsRoute('r', API)],
    says: [],
  },
  {
    it: 'a TLSRoute without parent and backend',
    documents: [tlsRoute('r', API)],
    says: [
      'TLSRoute default/r: spec.parentRefs: there is no Service default/web; the route waits for it',
      'TLSRoute default/r: spec.rules[0].backendRefs[0]: there is no Service default/api; the backend’s share of the connections is refused',
    ],
  },
  {
    it: 'a TLSRoute to a port that the backend has not',
    documents: [service('web'), tlsRoute('r', { name: 'web', port: 53 })],
    says: [
      'TLSRoute default/r: spec.rules[0].backendRefs[0]: Service default/web has no port 53/TCP; the backend’s share of the connections is refused',
    ],
  },
  {
    it: 'a TLSRoute to another namespace without a grant',
    documents: [service('web'), SHARED, tlsRoute('r', { ...API, namespace: 'shared' })],
    says: [
      'TLSRoute default/r: spec.rules[0].backendRefs[0]: no ReferenceGrant in shared lets TLSRoutes of default refer to Service shared/api; the backend’s share of the connections is refused',
    ],
  },
  {
    it: 'a TLSRoute to another namespace with a grant',
    documents: [service('web'), SHARED, tlsRoute('r', { ...API, namespace: 'shared' }), GRANT],
    says: [],
  },
  {
    it: 'two TLSRoutes with one host name',
    documents: [
      service('web'),
      tlsRoute('b', { name: 'web', port: 443 }, { hostnames: ['a.example', 'b.example'] }),
      tlsRoute('a', { name: 'web', port: 443 }, { hostnames: ['b.example'] }),
    ],
    says: [
      'TLSRoute default/b: spec.hostnames: b.example on port 443 of Service default/web follows TLSRoute default/a, which is older or first by name',
    ],
  },
  {
    it: 'a TLSRoute beside an HTTPRoute',
    documents: [
      service('web'),
      tlsRoute('r', { name: 'web', port: 443 }),
      object(`${GATEWAY}/v1`, 'HTTPRoute', 'h', {
        parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
      }),
    ],
    says: [
      'TLSRoute default/r: spec.parentRefs: port 443 of Service default/web has an HTTPRoute or a GRPCRoute, which a TLSRoute does not go with; the TLSRoute is not applied there',
    ],
  },
]

function said(documents: readonly object[]): string[] {
  const folder = new Folder()
  read(folder, documents)
  return folder
    .problems()
    .filter(({ code }) => code !== 'ROUTE_NOT_APPLIED')
    .map((problem) => {
      const { file: _file, line: _line, ...rest } = problem
      return `${problem.severity === 'warning' ? '' : 'error '}${formatProblem(rest)}`
    })
}

function read(folder: Folder, documents: readonly object[]): void {
  const text = documents.map((each) => JSON.stringify(each)).join('\n---\n')
  folder.read('all.yaml', { kind: 'text', text })
  folder.settle()
}

for (const { it, documents, says } of ROWS)
  test(`${it}${says.length === 0 ? ': no problem' : ''}`, (t) => {
    t.deepEqual(
      said(documents),
      says.map((text) => text.replaceAll('’', "'")),
    )
    t.deepEqual(said(documents.toReversed()).sort(), says.map((text) => text.replaceAll('’', "'")).sort())
  })

test('a warning names the line of the document and goes away when what it misses appears', (t) => {
  const folder = new Folder()
  read(folder, [service('other'), policy('p', [WEB])])
  t.like(folder.problems()[0], { severity: 'warning', code: 'REFERENCE_INVALID', file: 'all.yaml', line: 2 })
  folder.read('web.yaml', { kind: 'text', text: JSON.stringify(service('web')) })
  folder.settle()
  t.deepEqual(folder.problems(), [])
  folder.remove('web.yaml')
  folder.settle()
  t.is(folder.problems().length, 1)
})

test('a policy that became bad stays in force as it was', (t) => {
  const folder = new Folder()
  read(folder, [service('web'), policy('p', [WEB])])
  const before = folder.objects().get('TrafficPolicy default/p')
  read(folder, [service('web'), policy('p', [{ name: 'Web' }])])
  t.is(folder.objects().get('TrafficPolicy default/p'), before)
  t.regex(folder.problems()[0]?.message ?? '', /found "Web"; the object stays in force as before$/)
})
