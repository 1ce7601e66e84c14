// Which Service ports and which of their frontends go to the proxy, and what the others are told.

import test from 'ava'
import type { RouteAttachment } from '#agent/model/route.ts'
import { buildPlan } from '#agent/plan/build.ts'
import type { Plan, PlanOptions, ServicePortPlan } from '#agent/plan/plan.ts'
import {
  aService,
  aSlice,
  aSnapshot,
  idOf,
  planOf,
  someOptions,
  type EndpointText,
  type ServiceText,
} from '../support/build.ts'

interface Row {
  readonly it: string
  readonly service?: ServiceText
  readonly endpoints?: readonly (EndpointText | string)[]
  readonly options?: Partial<PlanOptions>
  readonly routes?: readonly RouteAttachment[]
  /** null: not seen. */
  readonly node?: null
  /** `because` and the kinds of the steered frontends, or the sentence that says why not. */
  readonly want: string | RegExp
}

const HERE = '10.244.1.5'
const THERE: EndpointText = { ip: '10.244.2.5', nodeName: 'n2' }
const ROUTE: RouteAttachment = { kind: 'HTTPRoute', id: 'default/r', service: idOf('web') }
const EVERYWHERE: ServiceText = {
  type: 'LoadBalancer',
  ports: [{ nodePort: 30080 }],
  externalIps: ['203.0.113.1'],
  loadBalancer: ['198.51.100.1'],
}
const ALWAYS: ServiceText = { ...EVERYWHERE, steer: 'always' }
const ALL_FOUR = 'ClusterIP ExternalIP LoadBalancerIP NodePort'

const ROWS: readonly Row[] = [
  { it: 'nobody asks', want: /no route or policy selects this port/ },
  { it: 'the Service asks', service: ALWAYS, want: `annotation: ${ALL_FOUR}` },
  { it: 'the option asks for all', options: { steer: 'always' }, want: 'option: ClusterIP' },
  {
    it: 'an endpoint that is the Service’s own external address is left to the kernel',
    service: { ...ALWAYS, ports: [{ port: 8080, nodePort: 30080 }], externalIps: [HERE] },
    want: /its endpoint 10\.244\.1\.5:8080 is one of its own addresses/,
  },
  {
    it: 'an endpoint that is the Service’s ClusterIP is a mistake, which the proxy stops',
    service: { steer: 'always', ports: [{ port: 8080 }] },
    endpoints: ['10.96.0.10'],
    want: 'annotation: ClusterIP',
  },
  { it: 'a route selects the Service', routes: [ROUTE], want: 'route: ClusterIP' },
  { it: 'a route selects the port', routes: [{ ...ROUTE, port: 80 }], want: 'route: ClusterIP' },
  {
    it: 'a route selects another port',
    routes: [{ ...ROUTE, port: 81 }],
    want: /no route or policy selects/,
  },
  {
    it: 'a route selects the port by its name',
    service: { ports: [{ name: 'http' }] },
    routes: [{ ...ROUTE, section: 'http' }],
    endpoints: [],
    want: /none of its addresses/,
  },
  {
    it: 'a route selects another name',
    routes: [{ ...ROUTE, section: 'http' }],
    want: /no route or policy selects/,
  },
  {
    it: 'the annotation is named before route and option',
    service: { steer: 'always' },
    routes: [ROUTE],
    options: { steer: 'always' },
    want: 'annotation: ClusterIP',
  },
  {
    it: 'never on the Service wins over option and route',
    service: { steer: 'never' },
    routes: [ROUTE],
    options: { steer: 'always' },
    want: /the Service says shunt.dev\/steer: never/,
  },
  {
    it: 'never on the node wins over the annotation',
    service: ALWAYS,
    options: { steer: 'never' },
    want: /--steer never/,
  },
  {
    it: 'steering is off',
    service: ALWAYS,
    options: { steering: { mechanism: 'off', proxyPort: 15001 } },
    want: /steering is off on this node/,
  },
  { it: 'UDP', service: { steer: 'always', ports: [{ protocol: 'UDP' }] }, want: /this port is UDP/ },
  { it: 'SCTP', routes: [ROUTE], service: { ports: [{ protocol: 'SCTP' }] }, want: /this port is SCTP/ },
  {
    it: 'no endpoint: the kernel rejects exactly',
    service: ALWAYS,
    endpoints: [],
    want: /rejects or drops by itself/,
  },
  {
    it: 'external Local with none here: outside is dropped, so only the ClusterIP is steered',
    service: { ...ALWAYS, externalTrafficPolicy: 'Local' },
    endpoints: [THERE],
    want: 'annotation: ClusterIP',
  },
  {
    it: 'internal Local with none here: the ClusterIP stays, the others are steered',
    service: { ...ALWAYS, internalTrafficPolicy: 'Local' },
    endpoints: [THERE],
    want: 'annotation: ExternalIP LoadBalancerIP NodePort',
  },
  {
    it: 'external Local with one here',
    service: { ...ALWAYS, externalTrafficPolicy: 'Local' },
    want: `annotation: ${ALL_FOUR}`,
  },
  {
    it: 'source ranges stay the kernel’s business',
    service: { ...ALWAYS, sourceRanges: ['203.0.113.0/24'] },
    want: `annotation: ${ALL_FOUR}`,
  },
  {
    it: 'by DNAT',
    service: ALWAYS,
    options: { steering: { mechanism: 'dnat', proxyPort: 15001 } },
    want: `annotation: ${ALL_FOUR}`,
  },
  {
    it: 'by sk_lookup, which needs no address of the node',
    service: ALWAYS,
    node: null,
    want: `annotation: ${ALL_FOUR}`,
  },
  {
    it: 'by DNAT while the node’s address is not known',
    service: ALWAYS,
    options: { steering: { mechanism: 'dnat', proxyPort: 15001 } },
    node: null,
    want: /the node has no IPv4 address/,
  },
  {
    it: 'Pods are told by a device and external Local treats them apart',
    service: { ...ALWAYS, externalTrafficPolicy: 'Local' },
    options: { localDetector: { kind: 'bridgeInterface', name: 'cni0' } },
    want: /tells Pods by the interface, which the proxy cannot see/,
  },
  {
    it: 'Pods are told by a device, but nothing treats them apart',
    service: {
      ...ALWAYS,
      internalTrafficPolicy: 'Local',
      affinity: { kind: 'ClientIP', timeoutSeconds: 10 },
    },
    options: { localDetector: { kind: 'interfaceNamePrefix', prefix: 'veth' } },
    want: `annotation: ${ALL_FOUR}`,
  },
]

for (const row of ROWS) {
  test(row.it, (t) => {
    const services = [aService(row.service)]
    const slices = [
      aSlice({
        endpoints: row.endpoints ?? [HERE, THERE],
        ports: [{}, { protocol: 'UDP' }, { protocol: 'SCTP' }],
      }),
    ]
    const plan = planOf(
      { services, slices, routes: row.routes ?? [], ...(row.node === null ? { node: null } : {}) },
      row.options,
    )
    const [port] = plan.families.IPv4?.ports.values() ?? []
    const got = port === undefined ? 'no such port' : steeringOf(port)
    if (typeof row.want === 'string') t.is(got, row.want)
    else t.regex(got, row.want)
  })
}

test('whenProxyDown comes with the steering', (t) => {
  const services = [aService({ steer: 'always', whenProxyDown: 'reject' })]
  const plan = planOf({ services, slices: [aSlice({ endpoints: [HERE] })] })
  t.like(plan.families.IPv4?.ports.values().next().value?.steering, {
    kind: 'steered',
    whenProxyDown: 'reject',
  })
})

test('a NodePort that one family has to reject is not steered in the other, for the kernel’s set has no family', (t) => {
  const services = [aService({ ...ALWAYS, clusterIps: ['10.96.0.10', 'fd00:96::10'] })]
  const v4 = aSlice({ endpoints: [HERE] })
  const v6 = aSlice({ id: 'default/six', endpoints: ['fd00:244:1::5'] })
  const kinds = (slices: (typeof v4)[]): string | undefined => {
    const port = planOf({ services, slices }).families.IPv4?.ports.values().next().value
    return port && steeringOf(port)
  }
  t.is(kinds([v4]), 'annotation: ClusterIP ExternalIP LoadBalancerIP')
  t.is(kinds([v4, v6]), `annotation: ${ALL_FOUR}`)
})

test('a NodePort that another Service has in the other family is not steered, until that Service is gone', (t) => {
  const service = (name: string, clusterIp: string) =>
    aService({
      name,
      clusterIps: [clusterIp],
      type: 'NodePort',
      ports: [{ nodePort: 30080 }],
      steer: 'always',
    })
  const [four, six] = [service('web', '10.96.0.10'), service('six', 'fd00:96::10')]
  const slices = [aSlice({ endpoints: [HERE] }), aSlice({ service: 'six', endpoints: ['fd00:244:1::5'] })]
  const both = aSnapshot({ services: [four, six], slices })
  const plan = buildPlan(both, someOptions())
  const kinds = (of: Plan): string | undefined => {
    const port = of.families.IPv4?.ports.values().next().value
    return port && steeringOf(port)
  }
  t.is(kinds(plan), 'annotation: ClusterIP')
  const alone = { ...both, services: new Map([[four.id, four]]) }
  const after = buildPlan(alone, someOptions(), { snapshot: both, plan })
  t.is(kinds(after), 'annotation: ClusterIP NodePort')
  t.is(kinds(buildPlan(both, someOptions(), { snapshot: alone, plan: after })), 'annotation: ClusterIP')
})

function steeringOf({ steering, frontends }: ServicePortPlan): string {
  const steered = frontends.filter((frontend) => frontend.steered).map(({ kind }) => kind)
  if (steering.kind === 'none')
    return steered.length === 0 ? steering.because : `${steering.because}, yet ${steered.join(' ')}`
  return `${steering.because}: ${steered.join(' ')}`
}
