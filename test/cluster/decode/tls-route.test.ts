// TLSRoutes with a Service as parent, and the ReferenceGrants that they may need.

import test from 'ava'
import { decodeReferenceGrant } from '#agent/cluster/decode/reference-grant.ts'
import { decodeRoute } from '#agent/cluster/decode/route.ts'

const metadata = { name: 'r', namespace: 'prod' }
const WEB = { group: '', kind: 'Service', name: 'web' }
const BACKEND = { name: 'web-v1', port: 443 }

function decode(spec: object) {
  return decodeRoute('TLSRoute', { metadata, spec: { parentRefs: [WEB], ...spec } })
}

function ruled(...backendRefs: readonly object[]): object {
  return { rules: [{ backendRefs }] }
}

test('host names and backends are read, with the defaults of the API', (t) => {
  const { value, problems } = decode({
    hostnames: ['a.example.org', '*.b.example.org', 'a.example.org'],
    ...ruled(BACKEND, { ...BACKEND, namespace: 'other', weight: 9, group: '', kind: 'Service' }),
  })
  t.deepEqual(problems, [])
  t.deepEqual(JSON.parse(JSON.stringify(value)), [
    {
      kind: 'TLSRoute',
      id: 'prod/r',
      service: 'prod/web',
      tls: {
        hostnames: ['a.example.org', '*.b.example.org'],
        backends: [
          { target: { service: 'prod/web-v1', port: 443 }, weight: 1 },
          { target: { service: 'other/web-v1', port: 443 }, weight: 9 },
        ],
      },
    },
  ])
})

test('no host names are every name, and no backends are read as none', (t) => {
  t.deepEqual(decode(ruled()).value?.[0]?.tls, { hostnames: [''], backends: [] })
})

test('a parent’s section, port and age come along', (t) => {
  const { value } = decodeRoute('TLSRoute', {
    metadata: { ...metadata, creationTimestamp: '1970-01-01T00:00:07Z' },
    spec: { parentRefs: [{ ...WEB, port: 443, sectionName: 'tls' }], ...ruled(BACKEND) },
  })
  t.like(value?.[0], { port: 443, section: 'tls', createdAtMs: 7_000 })
})

test('the rules of a route of another namespace are not applied, and that is said', (t) => {
  const { value, problems } = decode({
    parentRefs: [WEB, { ...WEB, namespace: 'other' }],
    ...ruled(BACKEND),
  })
  t.deepEqual(
    value?.map(({ service, tls }) => [String(service), tls !== undefined]),
    [
      ['prod/web', true],
      ['other/web', false],
    ],
  )
  t.deepEqual(
    problems.map(({ code, severity }) => `${code} ${severity}`),
    ['ROUTE_NOT_APPLIED warning'],
  )
})

test('a backend that is no Service keeps its weight and is warned of', (t) => {
  const { value, problems } = decode(ruled({ group: 'example.org', kind: 'Bucket', name: 'x', weight: 3 }))
  t.deepEqual(value?.[0]?.tls?.backends, [{ target: undefined, weight: 3 }])
  t.deepEqual(
    problems.map(({ code, severity, field }) => `${code} ${severity} ${field}`),
    ['REFERENCE_INVALID warning spec.rules[0].backendRefs[0].kind'],
  )
})

const BAD: readonly { readonly it: string; readonly spec: object; readonly says: readonly string[] }[] = [
  { it: 'no rule', spec: {}, says: ['spec.rules: missing: a TLSRoute needs one rule'] },
  {
    it: 'two rules',
    spec: { rules: [{}, {}] },
    says: ['spec.rules: expected one rule, found 2; a TLSRoute has one'],
  },
  {
    it: 'a host name in capitals, an address, and a wildcard in the middle',
    spec: { hostnames: ['A.example', '10.0.0.1', 'a.*.example'], ...ruled(BACKEND) },
    says: ['A.example', '10.0.0.1', 'a.*.example'].map(
      (text, i) =>
        `spec.hostnames[${i}]: expected a host name in lower case such as api.example.org or *.example.org, found "${text}"`,
    ),
  },
  {
    it: 'seventeen host names',
    spec: { hostnames: Array.from({ length: 17 }, (_, i) => `h${i}.example`), ...ruled(BACKEND) },
    says: ['spec.hostnames: expected at most 16 host names, found 17'],
  },
  {
    it: 'seventeen backends',
    spec: ruled(...Array.from({ length: 17 }, () => BACKEND)),
    says: ['spec.rules[0].backendRefs: expected at most 16 backends, found 17'],
  },
  {
    it: 'a backend without name and port',
    spec: ruled({}),
    says: [
      'spec.rules[0].backendRefs[0].name: missing: a backend needs the name of a Service',
      'spec.rules[0].backendRefs[0].port: missing: a backend needs the port of a Service',
    ],
  },
  {
    it: 'a weight beyond the API’s',
    spec: ruled({ ...BACKEND, weight: 1_000_001 }),
    says: ['spec.rules[0].backendRefs[0].weight: expected a whole number from 0 to 1000000, found 1000001'],
  },
]
for (const { it, spec, says } of BAD)
  test(`${it}: refused, saying where`, (t) => {
    const { value, problems } = decode(spec)
    t.is(value, undefined)
    t.deepEqual(
      problems.map(({ field, message }) => `${field}: ${message}`),
      says,
    )
  })

const TLS = { group: 'gateway.networking.k8s.io', kind: 'TLSRoute', namespace: 'prod' }

test('a grant is what it lets TLSRoutes do with Services', (t) => {
  const { value } = decodeReferenceGrant({
    metadata: { name: 'g', namespace: 'shared' },
    spec: {
      from: [TLS, { ...TLS, kind: 'HTTPRoute' }, { ...TLS, namespace: 'test' }],
      to: [
        { group: '', kind: 'Service', name: 'api' },
        { group: '', kind: 'Secret' },
      ],
    },
  })
  t.deepEqual(JSON.parse(JSON.stringify(value)), [
    { namespace: 'shared', from: 'prod', service: 'shared/api' },
    { namespace: 'shared', from: 'test', service: 'shared/api' },
  ])
})

test('a grant without a name is for every Service', (t) => {
  const { value } = decodeReferenceGrant({
    metadata: { name: 'g', namespace: 'shared' },
    spec: { from: [TLS], to: [{ group: '', kind: 'Service' }] },
  })
  t.deepEqual(value, [{ namespace: 'shared', from: 'prod' }])
})

test('a grant from no namespace is refused', (t) => {
  const { value, problems } = decodeReferenceGrant({
    metadata: { name: 'g' },
    spec: { from: [{ ...TLS, namespace: undefined }], to: [] },
  })
  t.is(value, undefined)
  t.is(problems[0]?.field, 'spec.from[0].namespace')
})
