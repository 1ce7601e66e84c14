import test from 'ava'
import * as fc from 'fast-check'
import { hostPort } from '#agent/model/ip.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { decide, type DecideState } from '#agent/proxy/decision/decide.ts'
import type { Decision } from '#agent/proxy/decision/decision.ts'
import type { ProxyView, ViewEndpoint } from '#agent/proxy/decision/view.ts'
import { wouldLoop } from '#agent/proxy/decision/loop.ts'
import { whyOf } from '#agent/proxy/decision/why.ts'
import { decideState, endpoint, flow, frontend, ip, service, view, WEB } from '../views.ts'

interface Row {
  readonly name: string
  readonly client?: string
  readonly destination: string
  readonly view?: ProxyView
  readonly state?: Partial<DecideState>
  /** `connect to N`, `selftest`, or the reason of the refusal. */
  readonly want: string
}

const LOCAL_ONLY = view({
  services: {
    [WEB]: service(['10.244.1.2:8080', '10.244.2.3:8080'], { local: [endpoint('10.244.1.2:8080', true)] }),
  },
})

const ROWS: readonly Row[] = [
  { name: 'a Pod dials a ClusterIP', destination: '10.96.0.10:80', want: 'connect pod 3' },
  { name: 'a Pod dials another port of it', destination: '10.96.0.10:81', want: 'no-frontend' },
  {
    name: 'a host process dials a ClusterIP',
    client: '192.168.0.10:5000',
    destination: '10.96.0.10:80',
    want: 'connect host 3',
  },
  {
    name: 'loopback is the host',
    client: '127.0.0.1:5000',
    destination: '10.96.0.10:80',
    want: 'connect host 3',
  },
  {
    name: 'a bridge address that the API does not know is the host',
    client: '172.18.0.1:5000',
    destination: '10.96.0.10:80',
    want: 'connect host 3',
  },
  {
    name: 'source equal to destination is the host',
    client: '10.96.0.10:5000',
    destination: '10.96.0.10:80',
    want: 'connect host 3',
  },
  {
    name: 'outside dials a NodePort with Local policy',
    client: '203.0.113.5:5000',
    destination: '192.168.0.10:30080',
    view: LOCAL_ONLY,
    want: 'connect outside 1',
  },
  {
    name: 'a Pod dials the same NodePort',
    destination: '192.168.0.10:30080',
    view: LOCAL_ONLY,
    want: 'connect pod 2',
  },
  {
    name: 'outside dials a Local NodePort without local endpoints',
    client: '203.0.113.5:5000',
    destination: '192.168.0.10:30080',
    want: 'no-endpoints',
  },
  {
    name: "a NodePort on an address that is not the node's",
    destination: '10.96.0.99:30080',
    want: 'no-frontend',
  },
  {
    name: 'a NodePort on an address only the interfaces know',
    destination: '172.18.0.1:30080',
    want: 'connect pod 3',
  },
  {
    name: 'an exact address wins over a NodePort of the same number',
    destination: '192.168.0.10:30080',
    view: view({
      frontends: {
        'node|30080': frontend('NodePort', 'local'),
        '192.168.0.10|30080': frontend('ExternalIP'),
      },
    }),
    want: 'connect pod 3',
  },
  { name: "the proxy's own port", destination: '192.168.0.10:15001', want: 'direct' },
  {
    name: "the proxy's port number on a Service address",
    destination: '10.96.0.10:15001',
    want: 'no-frontend',
  },
  {
    name: 'as many connections as allowed',
    destination: '10.96.0.10:80',
    state: { openConnections: 100 },
    want: 'overload',
  },
  {
    name: 'one fewer than allowed',
    destination: '10.96.0.10:80',
    state: { openConnections: 99 },
    want: 'connect pod 3',
  },
  { name: 'the proxy stops', destination: '10.96.0.10:80', state: { draining: true }, want: 'draining' },
  {
    name: 'a Service without endpoints',
    destination: '10.96.0.10:80',
    view: view({ services: { [WEB]: service([]) } }),
    want: 'no-endpoints',
  },
  {
    name: 'a frontend whose Service is missing',
    destination: '10.96.0.10:80',
    view: view({ services: {} }),
    want: 'no-endpoints',
  },
  {
    name: 'an endpoint that is a frontend is left out',
    destination: '10.96.0.10:80',
    view: view({ services: { [WEB]: service(['10.96.0.10:80', '10.244.1.2:80']) } }),
    want: 'connect pod 1',
  },
  {
    name: 'an endpoint that is a NodePort of this node',
    destination: '10.96.0.10:80',
    view: view({ services: { [WEB]: service(['192.168.0.10:30080']) } }),
    want: 'loop',
  },
  {
    name: 'an endpoint with the number of a NodePort elsewhere',
    destination: '10.96.0.10:80',
    view: view({ services: { [WEB]: service(['10.244.9.9:30080']) } }),
    want: 'connect pod 1',
  },
  {
    name: 'an endpoint that is the proxy',
    destination: '10.96.0.10:80',
    view: view({ services: { [WEB]: service(['127.0.0.1:15001']) } }),
    want: 'loop',
  },
  {
    name: 'the self-test from the node',
    client: '192.168.0.10:5000',
    destination: '169.254.53.90:15009',
    want: 'selftest',
  },
  {
    name: 'the self-test over IPv6',
    client: 'fd53:4855:4e54::1:5000',
    destination: 'fd53:4855:4e54::1:15009',
    want: 'selftest',
  },
  {
    name: 'the self-test while the proxy stops',
    client: '192.168.0.10:5000',
    destination: '169.254.53.90:15009',
    state: { draining: true },
    want: 'selftest',
  },
  {
    name: 'a self-test from outside',
    client: '203.0.113.5:5000',
    destination: '169.254.53.90:15009',
    want: 'no-frontend',
  },
]

for (const row of ROWS)
  test(row.name, (t) => {
    const made = decide(
      flow(row.client ?? '10.244.1.7:5000', row.destination),
      row.view ?? view(),
      decideState(row.state),
      () => 0.5,
    )
    t.is(summary(made), row.want)
  })

test('a pool of both families serves each destination with its own', (t) => {
  const both = view({
    frontends: { '10.96.0.10|80': frontend(), 'fd00:96::10|80': frontend() },
    services: { [WEB]: service(['10.244.1.2:8080', '10.244.2.3:8080', 'fd00:244::2:8080']) },
  })
  const made = (client: string, destination: string): string =>
    summary(decide(flow(client, destination), both, decideState(), () => 0))
  t.is(made('10.244.1.7:5000', '10.96.0.10:80'), 'connect pod 2')
  t.is(made('fd00:244::7:5000', 'fd00:96::10:80'), 'connect outside 1')
})

test('without a view everything is refused', (t) => {
  t.is(
    summary(decide(flow('10.244.1.7:5000', '10.96.0.10:80'), undefined, decideState(), () => 0)),
    'no-frontend',
  )
})

test('the record says how it was decided', (t) => {
  const made = decide(flow('10.244.1.7:5000', '10.96.0.10:80'), view(), decideState(), () => 0)
  t.deepEqual(whyOf(made), ['frontend ClusterIP 10.96.0.10|80', 'client pod', 'pool cluster of 3', 'Random'])
})

test('affinity puts the endpoint of the client first', (t) => {
  const affinity = new AffinityTable()
  const sticky = view({
    services: { [WEB]: service(['10.244.1.2:8080', '10.244.2.3:8080'], { affinitySeconds: 60 }) },
  })
  affinity.remember(WEB, ip('10.244.1.7'), endpoint('10.244.2.3:8080'), 60, 0)
  for (const draw of [0, 0.4, 0.99]) {
    const made = decide(
      flow('10.244.1.7:5000', '10.96.0.10:80'),
      sticky,
      decideState({ affinity }),
      () => draw,
    )
    t.is(made.kind === 'connect' && made.candidates[0]?.ip, ip('10.244.2.3'))
    t.is(made.kind === 'connect' && made.candidates.length, 2)
  }
})

test('affinity to an endpoint that left the pool is ignored', (t) => {
  const affinity = new AffinityTable()
  const sticky = view({ services: { [WEB]: service(['10.244.1.2:8080'], { affinitySeconds: 60 }) } })
  affinity.remember(WEB, ip('10.244.1.7'), endpoint('10.244.2.3:8080'), 60, 0)
  const made = decide(flow('10.244.1.7:5000', '10.96.0.10:80'), sticky, decideState({ affinity }), () => 0)
  t.deepEqual(made.kind === 'connect' && [made.candidates.length, whyOf(made).at(-1)], [1, 'Random'])
})

test('new connections are spread evenly', (t) => {
  const counts = new Map<string, number>()
  for (let i = 0; i < 3_000; i++) {
    const made = decide(flow('10.244.1.7:5000', '10.96.0.10:80'), view(), decideState(), Math.random)
    const first = made.kind === 'connect' ? made.candidates[0] : undefined
    const name = first === undefined ? 'none' : hostPort(first.ip, first.port)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  t.is(counts.size, 3)
  // Six standard deviations of a third of 3,000.
  for (const count of counts.values()) t.true(Math.abs(count - 1_000) < 155, String([...counts]))
})

const anyEndpoint = fc
  .record({
    host: fc.integer({ min: 1, max: 30 }),
    port: fc.constantFrom(80, 8080, 15001, 30080),
    node: fc.boolean(),
  })
  .map(({ host, port, node }): ViewEndpoint =>
    endpoint(node ? `192.168.0.10:${port}` : `10.244.1.${host}:${port}`),
  )
const anyPool = fc.uniqueArray(anyEndpoint, {
  selector: (each) => hostPort(each.ip, each.port),
  maxLength: 12,
})
const anyView = fc
  .record({ cluster: anyPool, local: anyPool, affinity: fc.boolean() })
  .map(({ cluster, local, affinity }) =>
    view({
      frontends: {
        '10.96.0.10|80': frontend('ClusterIP', { pod: 'cluster', host: 'local', outside: 'local' }),
        'node|30080': frontend('NodePort'),
      },
      services: { [WEB]: { key: WEB, cluster, local, ...(affinity ? { affinitySeconds: 10 } : {}) } },
    }),
  )

test('candidates are the usable endpoints of the pool, each once, with affinity first', (t) => {
  fc.assert(
    fc.property(
      anyView,
      fc.constantFrom('10.244.1.7:5000', '192.168.0.10:5000', '203.0.113.5:5000'),
      fc.option(anyEndpoint, { nil: undefined }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
      (made, client, remembered, draws) => {
        const affinity = new AffinityTable()
        const by = flow(client, '10.96.0.10:80')
        if (remembered !== undefined) affinity.remember(WEB, by.client.ip, remembered, 10, 0)
        const state = decideState({ affinity, maxCandidates: Infinity })
        const decision = decide(by, made, state, () => draws.next().value ?? 0)
        const pool = made.services[WEB]?.[client.startsWith('10.244') ? 'cluster' : 'local'] ?? []
        const usable = pool.filter((each) => !wouldLoop(each, made, state.local, state.listenerPort))
        if (decision.kind !== 'connect') return usable.length === 0
        const names = decision.candidates.map((each) => hostPort(each.ip, each.port))
        t.deepEqual(names.toSorted(), usable.map((each) => hostPort(each.ip, each.port)).toSorted())
        const sticky = remembered && hostPort(remembered.ip, remembered.port)
        if (
          sticky !== undefined &&
          made.services[WEB]?.affinitySeconds !== undefined &&
          names.includes(sticky)
        )
          t.is(names[0], sticky)
        return true
      },
    ),
    { numRuns: 1_000 },
  )
})

function summary(decision: Decision): string {
  switch (decision.kind) {
    case 'connect':
      return `connect ${decision.clientKind} ${decision.candidates.length}`
    case 'refuse':
      return decision.because
    case 'selftest':
    case 'peek':
      return decision.kind
  }
}
