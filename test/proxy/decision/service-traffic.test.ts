import test from 'ava'
import * as fc from 'fast-check'
import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import { endpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { SEED_MS } from '#agent/proxy/decision/latency.ts'
import { ServiceTraffic } from '#agent/proxy/decision/service-traffic.ts'
import { decideState, view, WEB } from '../views.ts'
import { member, members } from './pools.ts'

const POLICY: ConnectionPolicy = {
  ...DEFAULT_CONNECTION_POLICY,
  outlier: {
    consecutiveFailures: 3,
    baseEjectionMs: 1_000,
    maxEjectionMs: 5_000,
    maxEjectionPercent: 50,
    panicPercent: 50,
  },
}
const REFUSED = { code: 'ECONNREFUSED', durationMs: 0.1 }
const A = member(0).key
const B = member(1).key

/** With a pool of so many endpoints, as decisions leave it there. */
function trafficOf(size: number): ServiceTraffic {
  const traffic = new ServiceTraffic(WEB)
  const { local, listenerPort } = decideState()
  traffic.pools.of('cluster', 'IPv4').read(members(size), { view: view(), edition: 1, local, listenerPort })
  return traffic
}

function fail(traffic: ServiceTraffic, key = A, nowMs = 0, policy = POLICY, code = 'ECONNREFUSED') {
  traffic.started(key, nowMs)
  return traffic.failed(key, { ...REFUSED, code }, nowMs, policy)
}

test('the third failure in a row ejects, and the time brings it back', (t) => {
  const traffic = trafficOf(4)
  t.is(fail(traffic), undefined)
  t.is(fail(traffic), undefined)
  t.deepEqual(fail(traffic, A, 500), { endpoint: A, forMs: 1_000, times: 1 })
  t.deepEqual([...traffic.ejected(500)], [A])
  t.is(traffic.ejectedUntilMs(A, 500), 1_500)
  t.deepEqual([...traffic.ejected(1_499)], [A])
  t.deepEqual([...traffic.ejected(1_500)], [])
  t.is(traffic.ejectedUntilMs(A, 1_500), undefined)
})

test('a connection in between begins the row anew', (t) => {
  const traffic = trafficOf(4)
  fail(traffic)
  fail(traffic)
  traffic.started(A, 0)
  traffic.connected(A, 1, 0, POLICY)
  t.is(fail(traffic), undefined)
  t.is(fail(traffic), undefined)
  t.not(fail(traffic), undefined)
})

test('what is not the fault of the endpoint does not count', (t) => {
  const traffic = trafficOf(4)
  for (let i = 0; i < 10; i++) t.is(fail(traffic, A, 0, POLICY, 'EADDRNOTAVAIL'), undefined)
  t.is(traffic.active(A), 0)
  t.is(traffic.latencyMs(A, 0, 10_000), SEED_MS)
})

test('without a policy of outliers nobody is ejected', (t) => {
  const traffic = trafficOf(4)
  for (let i = 0; i < 10; i++) t.is(fail(traffic, A, 0, DEFAULT_CONNECTION_POLICY), undefined)
})

test('no more are ejected than the pool may spare, until one is back', (t) => {
  const traffic = trafficOf(4)
  const ejections = members(4).map(({ key }) => [1, 2, 3].map(() => fail(traffic, key, 100)).at(-1)?.endpoint)
  t.deepEqual(ejections, [A, B, undefined, undefined])
  // It still fails when the others are back, and then it is its turn.
  t.is(fail(traffic, member(2).key, 1_100)?.endpoint, member(2).key)
})

test('failures of one that is out change nothing', (t) => {
  const traffic = trafficOf(4)
  for (let i = 0; i < 3; i++) fail(traffic)
  for (let i = 0; i < 9; i++) t.is(fail(traffic, A, 10), undefined)
  t.is(traffic.ejectedUntilMs(A, 10), 1_000)
  // And do not count against it when it is back.
  t.is(fail(traffic, A, 1_000), undefined)
})

test('the next ejection is longer, and time in health makes it short again', (t) => {
  const traffic = trafficOf(4)
  const ejectAt = (nowMs: number): number | undefined =>
    [1, 2, 3].map(() => fail(traffic, A, nowMs)).at(-1)?.forMs
  t.is(ejectAt(0), 1_000)
  t.is(ejectAt(1_000), 2_000)
  t.is(ejectAt(3_000), 3_000)
  t.is(ejectAt(6_000 + 25_000), 2_000)
  t.is(ejectAt(100_000), 1_000)
})

test('one that left the pool is not ejected', (t) => {
  const traffic = trafficOf(1)
  for (let i = 0; i < 5; i++) t.is(fail(traffic, B), undefined)
})

test('a quick refusal does not make an endpoint look quick', (t) => {
  const traffic = trafficOf(2)
  traffic.started(A, 0)
  traffic.connected(A, 2, 60_000, POLICY)
  t.true(traffic.latencyMs(A, 60_000, 10_000) < 3)
  fail(traffic, A, 61_000)
  t.is(traffic.latencyMs(A, 61_000, 10_000), SEED_MS)
  // One that took long counts as long.
  traffic.started(A, 62_000)
  traffic.failed(A, { code: 'ETIMEDOUT', durationMs: 2_000 }, 62_000, POLICY)
  t.is(traffic.latencyMs(A, 62_000, 10_000), 2_000)
})

test('connections are counted to their endpoints until they end or fail', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ endpoint: fc.nat({ max: 3 }), event: fc.constantFrom('start', 'end', 'fail') }), {
        maxLength: 100,
      }),
      (events) => {
        const traffic = trafficOf(4)
        const open = [0, 0, 0, 0]
        for (const { endpoint, event } of events) {
          const { key } = member(endpoint)
          const count = open[endpoint] ?? 0
          if (event === 'start') {
            traffic.started(key, 0)
            open[endpoint] = count + 1
          } else if (count > 0) {
            if (event === 'end') traffic.ended(key, 0)
            else traffic.failed(key, REFUSED, 0, POLICY)
            open[endpoint] = count - 1
          }
          t.is<number | undefined, number | undefined>(traffic.active(key), open[endpoint])
        }
        t.is(
          traffic.idle,
          open.every((count) => count === 0),
        )
      },
    ),
  )
})

test('an endpoint that left is forgotten when its last connection ends', (t) => {
  const traffic = trafficOf(2)
  traffic.started(A, 0)
  traffic.started(A, 0)
  traffic.started(B, 0)
  traffic.ended(B, 0)
  traffic.keepOnly(new Set(), 0)
  t.is(traffic.size, 1)
  traffic.ended(A, 0)
  t.is(traffic.active(A), 1)
  traffic.ended(A, 0)
  t.is(traffic.size, 0)
})

test('an endpoint that comes back in time is kept', (t) => {
  const traffic = trafficOf(2)
  traffic.started(A, 0)
  traffic.keepOnly(new Set(), 0)
  traffic.keepOnly(new Set([A]), 0)
  traffic.ended(A, 0)
  t.is(traffic.size, 1)
})

test('a budget counts first attempts as connections, later rounds as retries, and failover not at all', (t) => {
  const traffic = trafficOf(2)
  const budget = { percent: 50, minPerSecond: 1 }
  for (let i = 0; i < 10; i++) traffic.started(A, 0)
  t.is(traffic.retriesLeft(0, budget), 15)
  for (let i = 0; i < 15; i++) {
    t.true(traffic.retryAllowed(0, budget))
    traffic.started(B, 0, 'failover')
    traffic.started(B, 0, 'retry')
  }
  t.false(traffic.retryAllowed(0, budget))
})

test('keys are an address and a port', (t) => t.is(A, endpointKey(member(0))))
