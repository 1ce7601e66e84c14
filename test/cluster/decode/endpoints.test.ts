// EndpointSlices and Endpoints: what is read, and what is left out without being an error.

import test from 'ava'
import { decodeEndpointSlice } from '../../../agent/cluster/decode/endpoint-slice.ts'
import { decodeEndpoints } from '../../../agent/cluster/decode/endpoints.ts'

const LABELS = { 'kubernetes.io/service-name': 'web' }
const SLICE = {
  metadata: { name: 'web-abc', namespace: 'prod', labels: LABELS },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints: [{ addresses: ['10.244.1.5'] }],
}

function slice(change: object): { value: unknown; says: string[] } {
  const { value, problems } = decodeEndpointSlice({ ...SLICE, ...change })
  return {
    value: value === undefined ? undefined : JSON.parse(JSON.stringify(value)),
    says: problems.map(({ severity, field, message }) => `${severity} ${field}: ${message}`),
  }
}

test('conditions that are not given are ready, serving and not terminating', (t) => {
  t.deepEqual(slice({}), {
    value: {
      id: 'prod/web-abc',
      service: 'prod/web',
      family: 'IPv4',
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
      endpoints: [
        {
          ip: '10.244.1.5',
          nodeName: '',
          ready: true,
          serving: true,
          terminating: false,
          zone: '',
          zoneHints: [],
          nodeHints: [],
        },
      ],
    },
    says: [],
  })
})

test('everything given is read, and only the first address of an endpoint', (t) => {
  const endpoint = {
    addresses: ['10.244.1.5', '10.244.1.6'],
    conditions: { ready: false, serving: true, terminating: true },
    nodeName: 'node-a',
    zone: 'a',
    hints: { forZones: [{ name: 'a' }, { name: 'b' }], forNodes: [{ name: 'node-a' }] },
    hostname: 'web-0',
    targetRef: { kind: 'Pod', name: 'web-0' },
  }
  const annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': '2026-11-22T12:00:00Z' }
  const { value, says } = slice({ metadata: { ...SLICE.metadata, annotations }, endpoints: [endpoint] })
  t.deepEqual(says, [])
  t.like(value, {
    changedAtMs: Date.UTC(2026, 10, 22, 12),
    endpoints: [
      {
        ip: '10.244.1.5',
        nodeName: 'node-a',
        ready: false,
        serving: true,
        terminating: true,
        zone: 'a',
        zoneHints: ['a', 'b'],
        nodeHints: ['node-a'],
      },
    ],
  })
})

const IGNORED: readonly { title: string; change: object; says: readonly string[] }[] = [
  {
    title: 'a slice of a headless Service is ignored',
    change: { metadata: { ...SLICE.metadata, labels: { ...LABELS, 'service.kubernetes.io/headless': '' } } },
    says: [],
  },
  {
    title: 'a slice without the label of its Service is ignored, and said so',
    change: { metadata: { name: 'web-abc' } },
    says: [
      'warning metadata.labels["kubernetes.io/service-name"]: missing: the slice belongs to no Service and is ignored',
    ],
  },
  {
    title: 'a slice of host names is ignored, and said so',
    change: { addressType: 'FQDN', endpoints: [{ addresses: ['web.example'] }] },
    says: ['warning addressType: slices of host names are not proxied; it is ignored'],
  },
]

for (const { title, change, says } of IGNORED) {
  test(title, (t) => {
    t.deepEqual(slice(change), { value: undefined, says: [...says] })
  })
}

test('an endpoint without addresses and a port without a number are left out, and said so', (t) => {
  const { value, says } = slice({
    endpoints: [{ addresses: [] }, ...SLICE.endpoints],
    ports: [{ name: 'any' }, { name: 'zero', port: 0 }, ...SLICE.ports],
  })
  t.like(value, { endpoints: [{ ip: '10.244.1.5' }], ports: [{ name: 'http' }] })
  t.deepEqual(says, [
    'warning ports[0].port: missing: a port without a number is ignored',
    'warning ports[1].port: missing: a port without a number is ignored',
    'warning endpoints[0].addresses: missing: expected an address; the endpoint is skipped',
  ])
})

test('a slice port without a name has the empty name, as the API server defaults it', (t) => {
  t.like(slice({ ports: [{ port: 8080 }] }).value, { ports: [{ name: '', port: 8080 }] })
})

test('Endpoints become one slice for each subset and family', (t) => {
  const { value, problems } = decodeEndpoints({
    metadata: { name: 'web', namespace: 'prod' },
    subsets: [
      {
        addresses: [{ ip: '10.244.1.5', nodeName: 'node-a' }, { ip: 'fd00::5' }],
        notReadyAddresses: [{ ip: '10.244.1.6' }],
        ports: [{ name: 'http', port: 8080 }],
      },
      { addresses: [{ ip: '10.244.1.7' }], ports: [{ name: 'http', port: 9090 }] },
    ],
  })
  t.deepEqual(problems, [])
  t.deepEqual(
    value?.map(({ id, family, ports, endpoints }) => {
      const list = endpoints.map(
        ({ ip, ready, serving }) => `${ip}${ready ? '' : ' not ready'}${serving ? '' : ' not serving'}`,
      )
      return `${id} ${family} ${ports[0]?.port}: ${list.join(', ')}`
    }),
    [
      'prod/web-endpoints-0-ipv4 IPv4 8080: 10.244.1.5, 10.244.1.6 not ready not serving',
      'prod/web-endpoints-0-ipv6 IPv6 8080: fd00::5',
      'prod/web-endpoints-1-ipv4 IPv4 9090: 10.244.1.7',
    ],
  )
})

test('Endpoints that ask not to be mirrored are not', (t) => {
  const labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' }
  const subsets = [{ addresses: [{ ip: '10.244.1.5' }], ports: [{ port: 80 }] }]
  t.deepEqual(decodeEndpoints({ metadata: { name: 'web', labels }, subsets }), {
    value: undefined,
    problems: [],
  })
})
