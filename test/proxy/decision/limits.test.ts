import test from 'ava'
import * as fc from 'fast-check'
import type { LimitPolicy } from '#agent/model/connection-policy.ts'
import { admission } from '#agent/proxy/decision/limits.ts'
import { ServiceTraffic } from '#agent/proxy/decision/service-traffic.ts'
import { TurnedAway } from '#agent/proxy/decision/turned-away.ts'
import { WEB } from '../views.ts'
import { hostIp } from './pools.ts'

const NOW_MS = 1_000

const ROWS: readonly (readonly [string, readonly [number, number, number], LimitPolicy, string])[] = [
  ['no limit at all', [1e6, 1e6, 1], { fair: true }, 'admitted'],
  ['the last place', [9, 0, 3], { fair: true, maxConnections: 10 }, 'admitted'],
  ['no place left', [10, 0, 3], { fair: true, maxConnections: 10 }, 'limit'],
  ['one client, while a fifth is free', [8, 8, 1], { fair: true, maxConnections: 10 }, 'admitted'],
  ['one client alone has all as its share', [9, 9, 1], { fair: true, maxConnections: 10 }, 'admitted'],
  ['above its share, while a fifth is free', [8, 7, 2], { fair: true, maxConnections: 10 }, 'admitted'],
  ['above its share, with less free', [9, 8, 2], { fair: true, maxConnections: 10 }, 'client-limit'],
  ['below its share, with less free', [9, 4, 2], { fair: true, maxConnections: 10 }, 'admitted'],
  ['the first of more clients than places', [9, 0, 50], { fair: true, maxConnections: 10 }, 'admitted'],
  ['above its share, nobody cares', [9, 8, 2], { fair: false, maxConnections: 10 }, 'admitted'],
  ['as many as one may have', [3, 3, 1], { fair: true, maxConnectionsPerClient: 3 }, 'client-limit'],
  ['another client', [3, 0, 2], { fair: true, maxConnectionsPerClient: 3 }, 'admitted'],
  [
    'the whole is full before one is',
    [3, 3, 1],
    { fair: true, maxConnections: 3, maxConnectionsPerClient: 3 },
    'limit',
  ],
]
for (const [name, [all, ofClient, clients], limits, want] of ROWS)
  test(`${name}: ${want}`, (t) => {
    const answer = admission({ all, ofClient, clients }, limits)
    const got: string = answer.kind === 'refused' ? answer.because : answer.kind
    t.is(got, want)
  })

/** Clients come and go; `true`: one more connection, `false`: one fewer. */
const anyHistory = fc.array(fc.record({ client: fc.nat({ max: 5 }), comes: fc.boolean() }), {
  maxLength: 400,
})
const anyLimits = fc.record({
  maxConnections: fc.integer({ min: 1, max: 40 }),
  perClient: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
  fair: fc.boolean(),
})

test('never above a limit, never refused below one without a reason, and every place comes back', (t) => {
  fc.assert(
    fc.property(anyHistory, anyLimits, (history, { maxConnections, perClient, fair }) => {
      const limits: LimitPolicy = {
        maxConnections,
        fair,
        ...(perClient === undefined ? {} : { maxConnectionsPerClient: perClient }),
      }
      const traffic = new ServiceTraffic(WEB)
      const open = new Map<number, number>()
      const turnedAway = new Set<number>()
      const total = (): number => [...open.values()].reduce((a, b) => a + b, 0)
      for (const { client, comes } of history) {
        const mine = open.get(client) ?? 0
        if (!comes) {
          if (mine > 0) traffic.leave(hostIp(client))
          if (mine > 1) open.set(client, mine - 1)
          else open.delete(client)
          continue
        }
        const share = maxConnections / new Set([...open.keys(), ...turnedAway, client]).size
        const before = total()
        const answer = traffic.admit(hostIp(client), limits, NOW_MS)
        if (answer.kind === 'admitted') {
          open.set(client, mine + 1)
          t.true(perClient === undefined || mine + 1 <= perClient)
          if (fair && mine > 0 && mine + 1 > share) t.true((maxConnections - before) * 5 >= maxConnections)
        } else if (answer.because === 'limit') {
          t.is(before, maxConnections)
          if (mine === 0) turnedAway.add(client)
        } else {
          const byCap = perClient !== undefined && mine >= perClient
          const byShare = fair && mine + 1 > share && (maxConnections - before) * 5 < maxConnections
          t.true(byCap || byShare)
        }
        t.true(total() <= maxConnections)
        t.is(traffic.open, total())
        t.is(traffic.clients, open.size)
      }
      for (const [client, count] of open) for (let i = 0; i < count; i++) traffic.leave(hostIp(client))
      t.is(traffic.open, 0)
      t.is(traffic.clients, 0)
      t.true(traffic.idle)
    }),
    { numRuns: 500 },
  )
})

test('what becomes free is of a client that was turned away, up to its share, and not of those above theirs', (t) => {
  fc.assert(
    // With fewer than six, one free place is a fifth.
    fc.property(fc.integer({ min: 6, max: 50 }), fc.integer({ min: 1, max: 4 }), (each, greedy) => {
      const maxConnections = each * greedy
      const traffic = new ServiceTraffic(WEB)
      const limits: LimitPolicy = { maxConnections, fair: true }
      for (let i = 0; i < 3 * maxConnections; i++) traffic.admit(hostIp(i % greedy), limits, NOW_MS)
      t.is(traffic.open, maxConnections)
      const newcomer = hostIp(99)
      t.deepEqual(traffic.admit(newcomer, limits, NOW_MS), { kind: 'refused', because: 'limit' })
      const share = Math.floor(maxConnections / (greedy + 1))
      for (let got = 0; got < share; got++) {
        traffic.leave(hostIp(got % greedy))
        t.is(traffic.admit(hostIp(got % greedy), limits, NOW_MS).kind, 'refused')
        t.is(traffic.admit(newcomer, limits, NOW_MS).kind, 'admitted')
      }
    }),
  )
})

test('a client above its share leaves a fifth to whom is below', (t) => {
  const traffic = new ServiceTraffic(WEB)
  const limits: LimitPolicy = { maxConnections: 100, fair: true }
  const [greedy, modest] = [hostIp(1), hostIp(2)]
  t.is(traffic.admit(modest, limits, NOW_MS).kind, 'admitted')
  let got = 0
  while (traffic.admit(greedy, limits, NOW_MS).kind === 'admitted') got++
  t.is(got, 80)
  for (let i = 0; i < 19; i++) t.is(traffic.admit(modest, limits, NOW_MS).kind, 'admitted')
  t.is(traffic.open, 100)
})

test('who leaves without having come changes nothing', (t) => {
  const traffic = new ServiceTraffic(WEB)
  traffic.leave(hostIp(1))
  t.is(traffic.open, 0)
})

test('ten seconds after a client was turned away the others may have all again', (t) => {
  const limits: LimitPolicy = { maxConnections: 10, fair: true }
  const traffic = new ServiceTraffic(WEB)
  for (let i = 0; i < 10; i++) traffic.admit(hostIp(1), limits, NOW_MS)
  t.is(traffic.admit(hostIp(2), limits, NOW_MS).kind, 'refused')
  traffic.leave(hostIp(1))
  t.is(traffic.admit(hostIp(1), limits, NOW_MS + 9_999).kind, 'refused')
  t.is(traffic.admit(hostIp(1), limits, NOW_MS + 10_000).kind, 'admitted')
})

test('of a crowd that was turned away the last 64 count, but not who is counted anyway', (t) => {
  const turnedAway = new TurnedAway()
  for (let i = 0; i < 500; i++) turnedAway.add(hostIp(i), NOW_MS)
  t.is(
    turnedAway.countWithout(() => false, NOW_MS),
    64,
  )
  t.is(
    turnedAway.countWithout((client) => client === hostIp(499) || client === hostIp(0), NOW_MS),
    63,
  )
})
