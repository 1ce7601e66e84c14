import test from 'ava'
import * as fc from 'fast-check'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { drawBackend, findTlsRoute } from '#agent/proxy/decision/tls-route.ts'
import type { ViewTlsRoute } from '#agent/proxy/decision/view.ts'
import { isLikely, seeded } from './pools.ts'

const route = (hostname: string): ViewTlsRoute => ({
  route: `default/${hostname || 'any'}`,
  hostname,
  backends: [],
})

const ALL = ['', '*.com', 'a.example.com', '*.example.com', '*.b.example.com'].map(route)
const WITHOUT_DEFAULT = ALL.filter((each) => each.hostname !== '')

const ROWS: readonly (readonly [string | undefined, string | undefined])[] = [
  ['a.example.com', 'a.example.com'],
  ['A.Example.COM', 'a.example.com'],
  ['a.example.com.', 'a.example.com'],
  ['x.example.com', '*.example.com'],
  ['x.y.example.com', '*.example.com'],
  ['x.a.example.com', '*.example.com'],
  ['x.b.example.com', '*.b.example.com'],
  ['b.example.com', '*.example.com'],
  ['example.com', '*.com'],
  ['com', undefined],
  ['example.org', undefined],
  ['notexample.com', '*.com'],
  ['.example.com', '*.com'],
  ['', undefined],
  ['.', undefined],
  ['..', undefined],
  [undefined, undefined],
]
for (const [name, want] of ROWS)
  test(`${name === undefined ? 'no name' : `'${name}'`} finds ${want ?? 'nothing'}, or the route for every name`, (t) => {
    t.is(findTlsRoute(WITHOUT_DEFAULT, name)?.hostname, want)
    t.is(findTlsRoute(ALL, name)?.hostname, want ?? '')
  })

test('of two routes for a name the first counts', (t) => {
  const routes = [route('a.example.com'), { ...route('a.example.com'), route: 'default/second' }]
  t.is(findTlsRoute(routes, 'a.example.com'), routes[0])
})

test('the order of routes does not matter otherwise', (t) => {
  fc.assert(
    fc.property(fc.shuffledSubarray(ALL), fc.constantFrom(...ROWS.map(([name]) => name)), (routes, name) => {
      const sorted = ALL.filter((each) => routes.includes(each))
      t.is(findTlsRoute(routes, name), findTlsRoute(sorted, name))
    }),
  )
})

test('what a wildcard finds ends as it says', (t) => {
  const label = fc.stringMatching(/^[a-c]{1,2}$/)
  const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 8 }), name, (hosts, asked) => {
      const names = hosts.map(([host, wild]) => (wild ? `*.${host}` : host))
      const fits = (host: string): boolean =>
        host === asked ||
        (host.startsWith('*.') && asked.endsWith(host.slice(1)) && asked.length > host.length - 1)
      const rank = (host: string): number => (host === asked ? 1e3 : host.length)
      const best = names.filter(fits).sort((a, b) => rank(b) - rank(a))[0]
      t.is(findTlsRoute(names.map(route), asked)?.hostname, best)
    }),
    { numRuns: 1_000 },
  )
})

const backends = (...weights: readonly number[]): ViewTlsRoute => ({
  ...route(''),
  backends: weights.map((weight, i) => ({
    service: `default/b${i}/TCP` as ServicePortKey,
    pool: 'cluster',
    weight,
  })),
})

test('backends are drawn by weight, those without weight never', (t) => {
  const draw = seeded(17)
  const counts = [0, 0, 0, 0]
  const of = backends(1, 0, 3, 6)
  for (let i = 0; i < 20_000; i++) {
    const drawn = drawBackend(of, draw)
    const index = of.backends.findIndex((each) => each === drawn)
    counts[index] = (counts[index] ?? 0) + 1
  }
  t.is(counts[1], 0)
  t.true(isLikely([counts[0] ?? 0, counts[2] ?? 0, counts[3] ?? 0], [1, 3, 6]), String(counts))
})

test('without any weight there is no backend', (t) => {
  t.is(
    drawBackend(backends(0, 0), () => 0.5),
    undefined,
  )
  t.is(
    drawBackend(backends(), () => 0.5),
    undefined,
  )
  t.is(drawBackend(backends(0, 5, 0), () => 1 - 2 ** -53)?.weight, 5)
})
