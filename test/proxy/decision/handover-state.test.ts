import test from 'ava'
import * as fc from 'fast-check'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { endpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { exportState, importState, type Memory } from '#agent/proxy/decision/handover-state.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import { endpoint, ip, service, view, WEB } from '../views.ts'
import { hostIp, members } from './pools.ts'

const VIEW = view({
  services: { [WEB]: service(['10.244.1.2:80', '10.244.1.3:80', 'fd00::2:80'], { affinitySeconds: 60 }) },
})
const [A, B, V6] = ['10.244.1.2:80', '10.244.1.3:80', 'fd00::2:80'].map((text) => endpointKey(endpoint(text)))
const memory = (): Memory => ({ traffic: new Traffic(), affinity: new AffinityTable() })

/** As if it had crossed a socket. */
function handOver(
  from: Memory,
  to: Memory,
  fromMs: number,
  toMs: number,
): { taken: number; ignored: number } {
  const sum = { taken: 0, ignored: 0 }
  for (const part of exportState(from, fromMs)) {
    const { taken, ignored } = importState(to, JSON.parse(JSON.stringify(part)), VIEW, toMs)
    sum.taken += taken
    sum.ignored += ignored
  }
  return sum
}

test('ejections, latencies, ages and affinity go on at the other clock', (t) => {
  if (A === undefined || B === undefined || V6 === undefined) return t.fail()
  const [from, to] = [memory(), memory()]
  const learnt = { failures: 2, ejections: 3, ejectedUntilMs: 15_000, joinedAtMs: 9_000 }
  from.traffic.of(WEB).learn(A, { ...learnt, latency: { estimateMs: 4, atMs: 10_000 } }, 10_000)
  from.traffic.of(WEB).started(B, 10_000)
  from.traffic.of(WEB).connected(B, 7, 10_000, DEFAULT_CONNECTION_POLICY)
  from.affinity.remember(WEB, ip('10.244.9.9'), endpoint('10.244.1.3:80'), 60, 10_000)
  from.affinity.remember(WEB, ip('fd00::9'), endpoint('fd00::2:80'), 5, 10_000)
  t.deepEqual(handOver(from, to, 11_000, 500_000), { taken: 4, ignored: 0 })

  const made = to.traffic.of(WEB)
  t.is(made.ejectedUntilMs(A, 500_000), 504_000)
  t.deepEqual([...made.ejected(503_999)], [A])
  t.deepEqual([...made.ejected(504_000)], [])
  t.is(made.joinedAtMs(A), 498_000)
  t.is(made.joinedAtMs(B), -Infinity)
  for (const key of [A, B])
    t.true(
      Math.abs(made.latencyMs(key, 500_000, 10_000) - from.traffic.of(WEB).latencyMs(key, 11_000, 10_000)) <
        1e-9,
    )
  // What is open stays with the proxy that has it.
  t.is(made.active(B), 0)
  t.true(made.idle)
  t.deepEqual(to.affinity.find(WEB, ip('10.244.9.9'), 500_000), { ip: ip('10.244.1.3'), port: 80 })
  t.deepEqual(to.affinity.find(WEB, ip('fd00::9'), 503_999), { ip: ip('fd00::2'), port: 80 })
  t.is(to.affinity.find(WEB, ip('fd00::9'), 504_000), undefined)
})

test('what is not in the view is not taken', (t) => {
  const [from, to] = [memory(), memory()]
  from.traffic.of(WEB).started(endpointKey(endpoint('10.244.1.99:80')), 0)
  from.traffic.of('default/other/TCP' as typeof WEB).started(endpointKey(endpoint('10.244.1.2:80')), 0)
  from.affinity.remember('default/other/TCP' as typeof WEB, ip('10.0.0.1'), endpoint('10.244.1.2:80'), 60, 0)
  t.deepEqual(handOver(from, to, 0, 0), { taken: 0, ignored: 3 })
  t.is([...to.traffic.services()].length, 0)
  t.is(to.affinity.size, 0)
})

test('a large state comes in parts, and whole', (t) => {
  const [from, to] = [memory(), memory()]
  for (let i = 0; i < 1_234; i++) from.affinity.remember(WEB, hostIp(i), endpoint('10.244.1.2:80'), 60, 0)
  for (const { key } of members(1_100)) from.traffic.of(WEB).started(key, 0)
  const lengths = [...exportState(from, 0)].map((part) =>
    part.kind === 'affinity' ? part.records.length : part.endpoints.length,
  )
  t.deepEqual(lengths, [500, 500, 100, 500, 500, 234])
  handOver(from, to, 0, 0)
  t.is(to.affinity.size, 1_234)
})

test('affinity lasts no longer than the Service says', (t) => {
  const to = memory()
  const part = { kind: 'affinity', records: [[WEB, '10.0.0.1', '10.244.1.2|80', 1e12]] }
  t.deepEqual(importState(to, part, VIEW, 0), { taken: 1, ignored: 0 })
  t.is(to.affinity.find(WEB, ip('10.0.0.1'), 60_000), undefined)
})

const good = { failures: 0, ejections: 0, ejectedForMs: null, latencyMs: 1, latencyAgeMs: 0, ageMs: null }
const BAD: readonly (readonly [string, unknown])[] = [
  ['nothing', null],
  ['a list', []],
  ['a part of another kind', { kind: 'weather' }],
  ['endpoints that are no list', { kind: 'endpoints', service: WEB, endpoints: {} }],
  ['an entry that is no pair', { kind: 'endpoints', service: WEB, endpoints: [good] }],
  ...Object.entries({
    'a negative count': { ...good, failures: -1 },
    'a count that is text': { ...good, ejections: '1' },
    'an ejection for a year': { ...good, ejectedForMs: 365 * 86_400_000 },
    'a latency that is missing': { ...good, latencyMs: undefined },
    'an age that is negative': { ...good, ageMs: -5 },
  }).map(
    ([name, entry]) =>
      [name, { kind: 'endpoints', service: WEB, endpoints: [['10.244.1.2|80', entry]] }] as const,
  ),
  ['a client that is no address', { kind: 'affinity', records: [[WEB, 'x', '10.244.1.2|80', 5]] }],
  ['an endpoint without a port', { kind: 'affinity', records: [[WEB, '10.0.0.1', '10.244.1.2', 5]] }],
  ['no time left', { kind: 'affinity', records: [[WEB, '10.0.0.1', '10.244.1.2|80', 0]] }],
]
for (const [name, part] of BAD)
  test(`${name} is ignored`, (t) => {
    const to = memory()
    t.deepEqual(importState(to, part, VIEW, 0), { taken: 0, ignored: 1 })
    t.is([...to.traffic.services()].length, 0)
  })

test('no document makes it throw, and no number is stuck for ever', (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.jsonValue({ maxDepth: 4 }),
        fc.record({
          kind: fc.constantFrom('endpoints', 'affinity'),
          service: fc.constantFrom(WEB, '__proto__', 'constructor', ''),
          endpoints: fc.array(
            fc.tuple(
              fc.constantFrom('10.244.1.2|80', 'x'),
              fc.dictionary(fc.constantFrom(...Object.keys(good)), fc.oneof(fc.double(), fc.constant(null))),
            ),
          ),
          records: fc.jsonValue({ maxDepth: 3 }),
        }),
      ),
      (part) => {
        const to = memory()
        importState(to, part, VIEW, 0)
        for (const each of to.traffic.services()) t.is(each.ejected(25 * 3_600_000).size, 0)
      },
    ),
    { numRuns: 1_000 },
  )
  t.pass()
})
