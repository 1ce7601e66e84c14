import test from 'ava'
import * as fc from 'fast-check'
import type { Cidr } from '#agent/model/cidr.ts'
import {
  DEFAULT_CONNECTION_POLICY,
  DEFAULT_OUTLIER_POLICY,
  type ConnectionPolicy,
} from '#agent/model/connection-policy.ts'
import { checkDelta, checkView } from '#agent/proxy/decision/view-check.ts'
import { MAX_REASONS } from '#agent/proxy/decision/reasons.ts'
import type { ViewTlsRoute } from '#agent/proxy/decision/view.ts'
import { endpoint, frontend, service, view, WEB } from '../views.ts'

test('a view survives JSON', (t) => {
  const made = view({
    services: { [WEB]: service(['10.244.1.2:80', 'fd00::2:80'], { affinitySeconds: 10 }) },
  })
  t.deepEqual(checkView(JSON.parse(JSON.stringify(made))), { kind: 'ok', value: made })
})

const ROUTE: ViewTlsRoute = {
  route: 'default/r',
  hostname: '*.example.org',
  backends: [
    { service: WEB, pool: 'local', weight: 3 },
    { service: null, pool: 'cluster', weight: 1 },
  ],
}
const POLICY: ConnectionPolicy = {
  ...DEFAULT_CONNECTION_POLICY,
  outlier: DEFAULT_OUTLIER_POLICY,
  limits: { fair: false, maxConnections: 9, maxConnectionsPerClient: 3 },
  proxyProtocol: { send: 'v2', acceptFrom: ['10.0.0.0/8' as Cidr] },
}

test('a policy, weights and routes survive JSON', (t) => {
  const weighted = { ...endpoint('10.244.1.2:80'), weight: 0 }
  const made = view({
    services: {
      [WEB]: { ...service([]), cluster: [weighted], policy: POLICY, tlsRoutes: [ROUTE] },
    },
  })
  t.deepEqual(checkView(JSON.parse(JSON.stringify(made))), { kind: 'ok', value: made })
})

/** A view whose Service has these fields too. */
function having(fields: object): unknown {
  return JSON.parse(JSON.stringify({ ...view(), services: { [WEB]: { ...service([]), ...fields } } }))
}

function policyWith(part: keyof ConnectionPolicy, fields: object): unknown {
  return having({ policy: { ...POLICY, [part]: { ...POLICY[part], ...fields } } })
}

function backendWith(fields: object): unknown {
  return having({
    tlsRoutes: [{ ...ROUTE, backends: [{ service: WEB, pool: 'local', weight: 1, ...fields }] }],
  })
}

test('a change survives JSON', (t) => {
  const delta = {
    version: 2,
    epoch: 'e',
    from: 1,
    to: 2,
    frontends: { 'node|80': null, '10.0.0.1|80': frontend() },
    services: { [WEB]: null },
  }
  t.deepEqual(checkDelta(JSON.parse(JSON.stringify(delta))), { kind: 'ok', value: delta } as never)
})

const BAD: readonly (readonly [string, unknown, RegExp])[] = [
  ['nothing', undefined, /not an object/],
  ['a list', [], /not an object/],
  ['another version', { ...view(), version: 1 }, /^version must be 2/],
  ['a generation that is no number', { ...view(), generation: '1' }, /^generation/],
  [
    'a node without ranges',
    { ...view(), node: { name: 'a', addresses: [] } },
    /node\.podCidrs must be a list/,
  ],
  [
    'an address that is none',
    { ...view(), node: { name: 'a', podCidrs: [], addresses: ['10.0.0'] } },
    /node\.addresses\[0\]/,
  ],
  ['a frontend at no address', { ...view(), frontends: { 'x|80': frontend() } }, /key of the wrong form/],
  ['a frontend at port 0', { ...view(), frontends: { '10.0.0.1|0': frontend() } }, /key of the wrong form/],
  [
    'a frontend at an address that is not canonical',
    { ...view(), frontends: { '010.0.0.1|80': frontend() } },
    /key of the wrong form/,
  ],
  [
    'a frontend called __proto__',
    JSON.parse(
      `{"version":2,"epoch":"e","generation":1,"node":{"name":"","podCidrs":[],"addresses":[]},"services":{},"frontends":{"__proto__":${JSON.stringify(frontend())}}}`,
    ),
    /key of the wrong form/,
  ],
  [
    'a pool of another name',
    {
      ...view(),
      frontends: { 'node|80': { ...frontend(), pool: { pod: 'all', host: 'local', outside: 'local' } } },
    },
    /pool must name/,
  ],
  ['a Service that is UDP', { ...view(), services: { 'a/b/UDP': service([]) } }, /key of the wrong form/],
  [
    'an endpoint with a huge port',
    {
      ...view(),
      services: { [WEB]: { key: WEB, local: [], cluster: [{ ip: '10.0.0.1', port: 70000, local: true }] } },
    },
    /cluster\[0\]\.port must be a port/,
  ],
  [
    'affinity for no time',
    { ...view(), services: { [WEB]: service([], { affinitySeconds: 0 }) } },
    /affinitySeconds/,
  ],
  [
    'an endpoint of less than no weight',
    having({ local: [{ ip: '10.0.0.1', port: 80, local: true, weight: -1 }] }),
    /local\[0\]\.weight must be a number from 0 to 1000/,
  ],
  ['a policy that is a text', having({ policy: 'Random' }), /policy must be an object/],
  ['a policy without limits', policyWith('limits', { fair: undefined }), /policy\.limits\.fair/],
  ['an unknown balancer', policyWith('balancer', { kind: 'Fair' }), /policy\.balancer\.kind must be one of/],
  [
    'a slow start that is not whole',
    policyWith('balancer', { slowStart: { windowMs: 1 } }),
    /slowStart\.minWeightPercent/,
  ],
  ['a deadline of a year', policyWith('connect', { deadlineMs: 31_536_000_000 }), /connect\.deadlineMs/],
  ['a backoff of text', policyWith('connect', { backoff: { baseMs: '25', maxMs: 250 } }), /backoff\.baseMs/],
  [
    'a budget below zero',
    policyWith('connect', { retryBudget: { percent: -1, minPerSecond: 1 } }),
    /percent/,
  ],
  ['an idle time that is missing', policyWith('timeouts', { idleMs: undefined }), /timeouts\.idleMs/],
  [
    'an ejection of nothing',
    policyWith('outlier', { consecutiveFailures: 0 }),
    /outlier\.consecutiveFailures/,
  ],
  ['a limit of no connection', policyWith('limits', { maxConnections: 0 }), /limits\.maxConnections/],
  ['a client that may have none', policyWith('limits', { maxConnectionsPerClient: 0 }), /PerClient/],
  ['a PROXY header of version 1', policyWith('proxyProtocol', { send: 'v1' }), /proxyProtocol\.send/],
  [
    'a trusted source that is no range',
    policyWith('proxyProtocol', { acceptFrom: ['x'] }),
    /acceptFrom\[0\]/,
  ],
  ['a route without a name', having({ tlsRoutes: [{ ...ROUTE, route: 1 }] }), /tlsRoutes\[0\]\.route/],
  [
    'a host name in capitals',
    having({ tlsRoutes: [{ ...ROUTE, hostname: 'A' }] }),
    /tlsRoutes\[0\]\.hostname/,
  ],
  ['a backend that is UDP', backendWith({ service: 'a/b/UDP' }), /backends\[0\]\.service/],
  ['a backend without a pool', backendWith({ pool: undefined }), /backends\[0\]\.pool/],
  ['a backend of no weight at all', backendWith({ weight: null }), /backends\[0\]\.weight/],
  [
    'more routes than a plan makes',
    having({ tlsRoutes: Array.from({ length: 5_000 }, () => ROUTE) }),
    /tlsRoutes must have at most 4096 entries/,
  ],
]
for (const [name, json, want] of BAD)
  test(`${name} is refused, saying where`, (t) => {
    const checked = checkView(json)
    t.regex(checked.kind === 'bad' ? checked.reasons.join('\n') : 'ok', want)
  })

test('the number of reasons is bounded', (t) => {
  const checked = checkView({
    ...view(),
    frontends: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`bad${i}`, frontend()])),
  })
  t.is(checked.kind === 'bad' && checked.reasons.length, MAX_REASONS + 1)
  t.is(checked.kind === 'bad' && checked.reasons.at(-1), `and ${1_000 - MAX_REASONS} more`)
})

test('no document makes it throw, and what it takes is a view', (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (json) => {
      const checked = checkView(json)
      return checked.kind === 'bad' && checkDelta(json).kind === 'bad'
    }),
    { numRuns: 500 },
  )
  const good = JSON.stringify(view())
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.string({ minLength: 1, maxLength: 3 }), (at, text) => {
      let json: unknown
      try {
        json = JSON.parse(good.slice(0, at) + text + good.slice(at + 1))
      } catch {
        return
      }
      const checked = checkView(json)
      if (checked.kind === 'ok') t.deepEqual(checkView(checked.value), checked)
    }),
    { numRuns: 500 },
  )
  t.pass()
})
