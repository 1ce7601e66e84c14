import test from 'ava'
import { decodeService } from '../../../agent/cluster/decode/service.ts'
import type { Service } from '../../../agent/model/service.ts'

const METADATA = { name: 'web', namespace: 'prod' }
const PORTS = [{ port: 80 }]

/** The decoded Service and its problems as `severity field: message`. */
function decode(spec: object, rest: object = {}): { service: Service | undefined; says: string[] } {
  const { value, problems } = decodeService({ metadata: METADATA, spec, ...rest })
  return {
    service: value,
    says: problems.map(({ severity, field, message }) => `${severity} ${field}: ${message}`),
  }
}

test('what is not given has the API server’s default', (t) => {
  const { service, says } = decode({ clusterIP: '10.96.0.10', ports: PORTS })
  t.deepEqual(says, [])
  t.deepEqual(JSON.parse(JSON.stringify(service)), {
    id: 'prod/web',
    namespace: 'prod',
    name: 'web',
    type: 'ClusterIP',
    headless: false,
    foreignProxy: false,
    clusterIps: ['10.96.0.10'],
    ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }],
    externalIps: [],
    loadBalancer: [],
    sourceRanges: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    affinity: { kind: 'None' },
    healthCheckNodePort: 0,
    steer: 'auto',
    whenProxyDown: 'balance',
  })
})

test('everything given is read', (t) => {
  const { service, says } = decode(
    {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'FD00:0::10'],
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30053, targetPort: 'dns' },
        { name: 'dns-tcp', port: 53, nodePort: 30053, targetPort: 5353, appProtocol: 'example.com/dns' },
      ],
      externalIPs: ['203.0.113.7'],
      loadBalancerSourceRanges: ['198.51.100.7/24'],
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
      sessionAffinity: 'ClientIP',
      healthCheckNodePort: 32000,
    },
    {
      metadata: {
        ...METADATA,
        labels: { 'service.kubernetes.io/service-proxy-name': 'other' },
        annotations: { 'shunt.dev/steer': 'always', 'shunt.dev/when-proxy-down': 'reject' },
      },
      status: {
        loadBalancer: {
          ingress: [
            { ip: '203.0.113.9' },
            { ip: '203.0.113.10', ipMode: 'Proxy' },
            { hostname: 'lb.example' },
          ],
        },
      },
    },
  )
  t.deepEqual(says, [])
  t.like(JSON.parse(JSON.stringify(service)), {
    type: 'LoadBalancer',
    foreignProxy: true,
    clusterIps: ['10.96.0.10', 'fd00::10'],
    ports: [
      { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53, nodePort: 30_053, appProtocol: 'example.com/dns' },
    ],
    externalIps: ['203.0.113.7'],
    sourceRanges: ['198.51.100.0/24'],
    loadBalancer: [
      { ip: '203.0.113.9', mode: 'VIP' },
      { ip: '203.0.113.10', mode: 'Proxy' },
    ],
    internalTrafficPolicy: 'Local',
    externalTrafficPolicy: 'Local',
    affinity: { kind: 'ClientIP', timeoutSeconds: 10_800 },
    healthCheckNodePort: 32_000,
    steer: 'always',
    whenProxyDown: 'reject',
  })
})

interface Odd {
  readonly title: string
  readonly spec: object
  readonly rest?: object
  readonly says: readonly string[]
  readonly has: object
}

const WITH_IP = { clusterIP: '10.96.0.10', ports: PORTS }

const ODD: readonly Odd[] = [
  {
    title: 'bad external addresses are skipped, the others kept',
    spec: { ...WITH_IP, externalIPs: ['x', '203.0.113.041', '127.0.0.1', 'fe80::1'] },
    says: [
      'warning spec.externalIPs[0]: expected an IP address, found "x"; the entry is skipped',
      'warning spec.externalIPs[2]: 127.0.0.1 is a loopback address, which cannot be a Service address; the entry is skipped',
      'warning spec.externalIPs[3]: fe80::1 is a link-local address, which cannot be a Service address; the entry is skipped',
    ],
    has: { externalIps: ['203.0.113.41'] },
  },
  {
    title: 'bad source ranges are skipped, the others trimmed and kept',
    spec: { ...WITH_IP, loadBalancerSourceRanges: [' 10.0.0.0/08 ', '10.0.0.1', '0.0.0.0/0'] },
    says: [
      'warning spec.loadBalancerSourceRanges[1]: expected an address range such as 10.0.0.0/8, found "10.0.0.1"; the entry is skipped',
    ],
    has: { sourceRanges: ['10.0.0.0/8', '0.0.0.0/0'] },
  },
  {
    title: 'a bad ingress address is skipped',
    spec: WITH_IP,
    rest: { status: { loadBalancer: { ingress: [{ ip: 'lb' }, { ip: '203.0.113.9' }] } } },
    says: [
      'warning status.loadBalancer.ingress[0].ip: expected an IP address, found "lb"; the entry is skipped',
    ],
    has: { loadBalancer: [{ ip: '203.0.113.9', mode: 'VIP' }] },
  },
  {
    title: 'an unknown field is ignored and the likely one named',
    spec: { ...WITH_IP, clusterIp: 'x', ports: [{ port: 80, nodeport: 1 }] },
    says: [
      'warning spec.clusterIp: unknown field, it is ignored; did you mean clusterIP?',
      'warning spec.ports[0].nodeport: unknown field, it is ignored; did you mean nodePort?',
    ],
    has: { ports: [{ port: 80 }] },
  },
  {
    title: 'a wrong wish for steering falls back to the default',
    spec: WITH_IP,
    rest: {
      metadata: {
        ...METADATA,
        annotations: {
          'shunt.dev/steer': 'on',
          'shunt.dev/when-proxy-down': 'drop',
          'shunt.dev/steering': 'always',
        },
      },
    },
    says: [
      'warning metadata.annotations["shunt.dev/steering"]: unknown annotation, it is ignored',
      'warning metadata.annotations["shunt.dev/steer"]: expected auto, always or never, found "on"; auto is used',
      'warning metadata.annotations["shunt.dev/when-proxy-down"]: expected balance or reject, found "drop"; balance is used',
    ],
    has: { steer: 'auto', whenProxyDown: 'balance' },
  },
  {
    title: 'a headless Service needs no ports',
    spec: { clusterIP: 'None' },
    says: [],
    has: { headless: true, clusterIps: [], ports: [] },
  },
  {
    title: 'an ExternalName needs neither address nor ports',
    spec: { type: 'ExternalName', externalName: 'db.example' },
    says: [],
    has: { type: 'ExternalName', headless: true },
  },
  {
    title: 'a Service without clusterIP is not proxied, and told so',
    spec: { ports: PORTS },
    says: [
      'warning spec.clusterIP: missing: nothing allocates one here, so that the Service is not proxied; give an address, or None',
    ],
    has: { headless: true },
  },
  {
    title: 'a NodePort Service without nodePort is told that it has none',
    spec: { ...WITH_IP, type: 'NodePort' },
    says: [
      'warning spec.ports[0].nodePort: missing: nothing allocates one here, so that the port has no NodePort',
    ],
    has: { ports: [{ nodePort: 0 }] },
  },
  {
    title: 'null is absent',
    spec: { ...WITH_IP, sessionAffinity: null, externalIPs: null, healthCheckNodePort: null },
    says: [],
    has: { affinity: { kind: 'None' }, externalIps: [], healthCheckNodePort: 0 },
  },
  {
    title: 'one number serves several protocols',
    spec: {
      ...WITH_IP,
      ports: ['TCP', 'UDP', 'SCTP'].map((protocol) => ({ name: protocol.toLowerCase(), port: 53, protocol })),
    },
    says: [],
    has: { ports: [{ protocol: 'TCP' }, { protocol: 'UDP' }, { protocol: 'SCTP' }] },
  },
  {
    title: 'fields named like those of every object are only fields',
    spec: JSON.parse(
      '{"clusterIP": "10.96.0.10", "ports": [{"port": 80}], "__proto__": {"type": "NodePort"}}',
    ) as object,
    says: ['warning spec.__proto__: unknown field, it is ignored'],
    has: { type: 'ClusterIP' },
  },
]

for (const { title, spec, rest, says, has } of ODD) {
  test(title, (t) => {
    const decoded = decode(spec, rest)
    t.deepEqual(decoded.says, says)
    t.like(JSON.parse(JSON.stringify(decoded.service)), has)
  })
}

test('an error leaves no value', (t) => {
  const { service, says } = decode({ ...WITH_IP, type: 'nodeport' })
  t.is(service, undefined)
  t.is(says.length, 1)
})
