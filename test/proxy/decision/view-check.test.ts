import test from 'ava'
import * as fc from 'fast-check'
import { checkDelta, checkView } from '#agent/proxy/decision/view-check.ts'
import { MAX_REASONS } from '#agent/proxy/decision/reasons.ts'
import { frontend, service, view, WEB } from '../views.ts'

test('a view survives JSON', (t) => {
  const made = view({
    services: { [WEB]: service(['10.244.1.2:80', 'fd00::2:80'], { affinitySeconds: 10 }) },
  })
  t.deepEqual(checkView(JSON.parse(JSON.stringify(made))), { kind: 'ok', value: made })
})

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
