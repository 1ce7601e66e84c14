// Decisions in two phases: those that need the first bytes of the connection.

import test from 'ava'
import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import type { Cidr } from '#agent/model/cidr.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { decide, type Earlier } from '#agent/proxy/decision/decide.ts'
import type { Decision, Peeked } from '#agent/proxy/decision/decision.ts'
import type { ProxyView, ViewTlsBackend, ViewTlsRoute } from '#agent/proxy/decision/view.ts'
import { whyOf } from '#agent/proxy/decision/why.ts'
import { decideState, endpoint, flow, ip, service, view, WEB } from '../views.ts'
import { seeded } from './pools.ts'

const RED = 'default/red/TCP' as ServicePortKey
const BLUE = 'default/blue/TCP' as ServicePortKey
const backend = (service_: ServicePortKey | null, weight = 1): ViewTlsBackend => ({
  service: service_,
  pool: 'cluster',
  weight,
})
const route = (hostname: string, ...backends: readonly ViewTlsBackend[]): ViewTlsRoute => ({
  route: 'default/names',
  hostname,
  backends,
})

const TRUSTING: ConnectionPolicy = {
  ...DEFAULT_CONNECTION_POLICY,
  proxyProtocol: { send: 'none', acceptFrom: ['203.0.113.0/24' as Cidr] },
}

function viewOf(options: { readonly tls?: readonly ViewTlsRoute[]; readonly trusts?: boolean }): ProxyView {
  const { tls, trusts = false } = options
  return view({
    services: {
      [WEB]: service(['10.244.2.1:80'], {
        ...(tls === undefined ? {} : { tlsRoutes: tls }),
        ...(trusts ? { policy: TRUSTING } : {}),
      }),
      [RED]: { ...service(['10.244.3.1:443']), key: RED, affinitySeconds: 30 },
      [BLUE]: { ...service([]), key: BLUE },
    },
  })
}

const ROUTES = [
  route('red.example.com', backend(RED)),
  route('blue.example.com', backend(BLUE)),
  route('gone.example.com', backend('default/gone/TCP' as ServicePortKey)),
  route('bad.example.com', backend(null)),
  route('none.example.com'),
  route('off.example.com', backend(RED, 0)),
  route('*.example.com', backend(WEB)),
]

const hello = (serverName?: string): Peeked => ({ tls: { kind: 'hello', serverName } })
const header = (client: string | undefined): Peeked => ({
  proxy: { client: client === undefined ? undefined : { ip: ip(client), port: 7 }, headerBytes: 28 },
})

function summary(decision: Decision): string {
  if (decision.kind === 'peek')
    return `peek${decision.wanted.proxyHeader ? ' header' : ''}${decision.wanted.tls ? ' tls' : ''}`
  if (decision.kind === 'refuse') return decision.because
  if (decision.kind === 'selftest') return decision.kind
  return `${decision.service} for ${decision.client.ip}, skip ${decision.skipBytes}`
}

interface Row {
  readonly name: string
  readonly view: ProxyView
  readonly client?: string
  readonly peeked?: Peeked
  readonly want: string
}

const TRUSTED = '203.0.113.9:4000'
const BOTH = viewOf({ tls: ROUTES, trusts: true })

const ROWS: readonly Row[] = [
  { name: 'nothing to look at', view: viewOf({}), want: 'default/web/TCP for 10.244.1.7, skip 0' },
  { name: 'routes by name', view: viewOf({ tls: ROUTES }), want: 'peek tls' },
  { name: 'a trusted source', view: viewOf({ trusts: true }), client: TRUSTED, want: 'peek header' },
  { name: 'another source', view: viewOf({ trusts: true }), want: 'default/web/TCP for 10.244.1.7, skip 0' },
  { name: 'a trusted source and routes', view: BOTH, client: TRUSTED, want: 'peek header tls' },
  {
    name: 'a header with a client',
    view: viewOf({ trusts: true }),
    client: TRUSTED,
    peeked: header('198.51.100.1'),
    want: 'default/web/TCP for 198.51.100.1, skip 28',
  },
  {
    name: 'a header without a client: the source itself',
    view: viewOf({ trusts: true }),
    client: TRUSTED,
    peeked: header(undefined),
    want: 'default/web/TCP for 203.0.113.9, skip 28',
  },
  {
    name: 'no header from a trusted source',
    view: viewOf({ trusts: true }),
    client: TRUSTED,
    peeked: {},
    want: 'no-proxy-header',
  },
  {
    name: 'a ClientHello without the header that must come first',
    view: BOTH,
    client: TRUSTED,
    peeked: hello('red.example.com'),
    want: 'no-proxy-header',
  },
  {
    name: 'a header, and a view that wants a name since: both are read again',
    view: BOTH,
    client: TRUSTED,
    peeked: header('198.51.100.1'),
    want: 'peek header tls',
  },
  {
    name: 'header and name',
    view: BOTH,
    client: TRUSTED,
    peeked: { ...header('198.51.100.1'), ...hello('red.example.com') },
    want: 'default/red/TCP for 198.51.100.1, skip 28',
  },
  {
    name: 'a name with a route',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('red.example.com'),
    want: 'default/red/TCP for 10.244.1.7, skip 0',
  },
  {
    name: 'a name that only the wildcard has',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('green.example.com'),
    want: 'default/web/TCP for 10.244.1.7, skip 0',
  },
  { name: 'a name of nobody', view: viewOf({ tls: ROUTES }), peeked: hello('example.org'), want: 'no-route' },
  { name: 'no name', view: viewOf({ tls: ROUTES }), peeked: hello(), want: 'no-route' },
  { name: 'no TLS', view: viewOf({ tls: ROUTES }), peeked: { tls: { kind: 'other' } }, want: 'no-route' },
  {
    name: 'no TLS, and a route for everything',
    view: viewOf({ tls: [...ROUTES, route('', backend(RED))] }),
    peeked: { tls: { kind: 'other' } },
    want: 'default/red/TCP for 10.244.1.7, skip 0',
  },
  { name: 'no routes at all', view: viewOf({ tls: [] }), peeked: hello('a'), want: 'no-route' },
  {
    name: 'a backend without endpoints',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('blue.example.com'),
    want: 'no-endpoints',
  },
  {
    name: 'a backend that is not in the view',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('gone.example.com'),
    want: 'no-backend',
  },
  {
    name: 'a backend that is not valid',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('bad.example.com'),
    want: 'no-backend',
  },
  {
    name: 'no backend',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('none.example.com'),
    want: 'no-backend',
  },
  {
    name: 'no backend with a weight',
    view: viewOf({ tls: ROUTES }),
    peeked: hello('off.example.com'),
    want: 'no-backend',
  },
]
for (const row of ROWS)
  test(`${row.name}: ${row.want}`, (t) => {
    const by = flow(row.client ?? '10.244.1.7:5000', '10.96.0.10:80')
    t.is(summary(decide(by, row.view, decideState(), seeded(1), { peeked: row.peeked })), row.want)
  })

test('affinity and policy are those of the backend', (t) => {
  const by = flow('10.244.1.7:5000', '10.96.0.10:80')
  const made = decide(by, viewOf({ tls: ROUTES }), decideState(), seeded(1), {
    peeked: hello('red.example.com'),
  })
  t.like(made, {
    kind: 'connect',
    affinitySeconds: 30,
    tlsRoute: 'default/names',
    policy: DEFAULT_CONNECTION_POLICY,
  })
  t.regex(whyOf(made).join('\n'), /^TLSRoute default\/names .*to default\/red\/TCP$/m)
})

const WHOSE: readonly (readonly [string, Peeked, string])[] = [
  ['of a name of nobody: the one that was dialled', hello('example.org'), WEB],
  ['of a backend that is not valid: the one that was dialled', hello('bad.example.com'), WEB],
  ['of a backend without endpoints: the backend', hello('blue.example.com'), BLUE],
]
for (const [name, peeked, service] of WHOSE)
  test(`the Service of a refusal ${name}`, (t) => {
    const by = flow('10.244.1.7:5000', '10.96.0.10:80')
    const made = decide(by, viewOf({ tls: ROUTES }), decideState(), seeded(1), { peeked })
    t.like(made, { kind: 'refuse', service, frontend: '10.96.0.10|80' })
    t.is(whyOf(made).includes('TLSRoute default/names to default/blue/TCP'), service === BLUE)
  })

test('the pool is the one that the route names for its backend, whoever the client is', (t) => {
  const routes = [route('', { ...backend(RED), pool: 'local' })]
  const seen = viewOf({ tls: routes })
  const red = {
    ...service(['10.244.3.1:443', '10.244.3.2:443']),
    key: RED,
    local: [endpoint('10.244.3.2:443', true)],
  }
  const made = decide(
    flow('10.244.1.7:5000', '10.96.0.10:80'),
    { ...seen, services: { ...seen.services, [RED]: red } },
    decideState(),
    seeded(1),
    { peeked: hello('x') },
  )
  t.deepEqual(made.kind === 'connect' && [made.pool, made.candidates.map((each) => each.ip)], [
    'local',
    [ip('10.244.3.2')],
  ])
})

test('shares of backends hold, that of an invalid one is refused, and later rounds keep the backend', (t) => {
  const seen = viewOf({ tls: [route('', backend(WEB, 5), backend(RED, 3), backend(null, 2))] })
  const by = flow('10.244.1.7:5000', '10.96.0.10:80')
  const draw = seeded(8)
  const state = decideState()
  const counts = new Map<string, number>()
  for (let i = 0; i < 5_000; i++) {
    const made = decide(by, seen, state, draw, { peeked: hello('x') })
    const name = made.kind === 'connect' ? made.service : summary(made)
    counts.set(name, (counts.get(name) ?? 0) + 1)
    if (made.kind !== 'connect') continue
    const earlier: Earlier = {
      peeked: hello('x'),
      service: made.service,
      progress: { round: 1, tried: new Set() },
    }
    const again = decide(by, seen, state, draw, earlier)
    t.is(again.kind === 'connect' && again.service, made.service)
  }
  for (const [name, share] of [
    [WEB, 2_500],
    [RED, 1_500],
    ['no-backend', 1_000],
  ] as const)
    t.true(Math.abs((counts.get(name) ?? 0) - share) < 150, JSON.stringify([...counts]))
})

test('what was let in goes on, though the proxy stops or is full', (t) => {
  const by = flow('10.244.1.7:5000', '10.96.0.10:80')
  const seen = viewOf({ tls: ROUTES })
  const full = decideState({ draining: true, openConnections: 100, maxConnections: 100 })
  t.is(summary(decide(by, seen, full, seeded(1))), 'draining')
  t.is(
    summary(decide(by, seen, full, seeded(1), { peeked: hello('red.example.com') })),
    'default/red/TCP for 10.244.1.7, skip 0',
  )
})
