// Decisions by policy: what is usable, what is tried again, what a client keeps.

import test from 'ava'
import type { ConnectionPolicy } from '#agent/model/connection-policy.ts'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { decide, type DecideState, type Earlier } from '#agent/proxy/decision/decide.ts'
import type { ConnectDecision } from '#agent/proxy/decision/decision.ts'
import { endpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { nextRound, NOT_TRIED } from '#agent/proxy/decision/retry.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView, ViewService } from '#agent/proxy/decision/view.ts'
import { whyOf } from '#agent/proxy/decision/why.ts'
import { decideState, endpoint, flow, ip, service, view, WEB } from '../views.ts'
import { hostIp, seeded } from './pools.ts'

const FROM_POD = flow('10.244.1.7:5000', '10.96.0.10:80')
const hosts = (count: number): string[] => Array.from({ length: count }, (_, i) => `10.244.2.${i + 1}:80`)
const keyOf = (host: number): ReturnType<typeof endpointKey> => endpointKey(endpoint(`10.244.2.${host}:80`))

const OUTLIERS: ConnectionPolicy = {
  ...DEFAULT_CONNECTION_POLICY,
  outlier: {
    consecutiveFailures: 1,
    baseEjectionMs: 1_000,
    maxEjectionMs: 1_000,
    maxEjectionPercent: 100,
    panicPercent: 50,
  },
}

function viewOf(count: number, options: Partial<ViewService> = {}): ProxyView {
  return view({ services: { [WEB]: service(hosts(count), options) } })
}

const sorted = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b)

/** The decision of a connection, and the last part of each address in it. */
function decided(
  seen: ProxyView,
  state: DecideState,
  earlier: Earlier = {},
): { readonly decision: ConnectDecision; readonly hosts: readonly number[] } {
  const decision = decide(FROM_POD, seen, state, seeded(3), earlier)
  if (decision.kind !== 'connect') throw new Error(`${decision.kind}: ${whyOf(decision).join()}`)
  return { decision, hosts: decision.candidates.map((each) => Number(each.ip.split('.').at(-1))) }
}

function failOnce(state: DecideState, host: number, policy = OUTLIERS): void {
  const traffic = state.traffic.of(WEB)
  traffic.started(keyOf(host), state.nowMs)
  traffic.failed(keyOf(host), { code: 'ECONNREFUSED', durationMs: 1 }, state.nowMs, policy)
}

test('of a large pool six are named, and all of a small one', (t) => {
  const state = decideState()
  const large = decided(viewOf(100), state)
  t.is(new Set(large.hosts).size, 6)
  t.false(large.decision.roundComplete)
  const small = decided(viewOf(3), decideState())
  t.deepEqual(sorted(small.hosts), [1, 2, 3])
  t.true(small.decision.roundComplete)
})

test('an ejected endpoint is no candidate, until its time is over', (t) => {
  const state = decideState()
  const seen = viewOf(4, { policy: OUTLIERS })
  decided(seen, state)
  failOnce(state, 2)
  const { decision, hosts: left } = decided(seen, state)
  t.deepEqual(sorted(left), [1, 3, 4])
  t.deepEqual([decision.ejected, decision.panic, decision.roundComplete], [1, false, true])
  t.true(whyOf(decision).includes('1 ejected'))
  t.is(decided(seen, { ...state, nowMs: 1_000 }).hosts.length, 4)
})

test('with too few left the ejected are used all the same', (t) => {
  const state = decideState()
  const seen = viewOf(4, { policy: OUTLIERS })
  decided(seen, state)
  for (const host of [1, 2]) failOnce(state, host)
  t.is(decided(seen, state).hosts.length, 2)
  failOnce(state, 3)
  const { decision, hosts: all } = decided(seen, state)
  t.is(all.length, 4)
  t.deepEqual([decision.ejected, decision.panic], [3, true])
  t.true(whyOf(decision).includes('3 ejected, which is too many: used all the same'))
})

test('without a panic threshold a pool that is ejected whole refuses', (t) => {
  const state = decideState()
  const policy: ConnectionPolicy = { ...OUTLIERS, ...withPanic(0) }
  const seen = viewOf(2, { policy })
  decided(seen, state)
  for (const host of [1, 2]) failOnce(state, host, policy)
  const decision = decide(FROM_POD, seen, state, seeded(1))
  t.is(decision.kind === 'refuse' && decision.because, 'ejected')
})

function withPanic(panicPercent: number): Pick<ConnectionPolicy, 'outlier'> {
  return OUTLIERS.outlier === undefined ? {} : { outlier: { ...OUTLIERS.outlier, panicPercent } }
}

test('a policy that goes takes its ejections along', (t) => {
  const state = decideState()
  decided(viewOf(4, { policy: OUTLIERS }), state)
  failOnce(state, 2)
  t.is(decided(viewOf(4), state).hosts.length, 4)
})

const WEIGHTLESS: readonly (readonly [string, readonly (number | undefined)[], readonly number[]])[] = [
  ['an endpoint of weight 0 is left out', [1, 0, undefined], [1, 3]],
  ['if all have weight 0, all are alike', [0, 0, 0], [1, 2, 3]],
  ['a weight that is no number counts as 0', [Number.NaN, Number.POSITIVE_INFINITY, -3, 2], [4]],
]
for (const [name, weights, want] of WEIGHTLESS)
  test(name, (t) => {
    const endpoints = weights.map((weight, i) => ({
      ...endpoint(`10.244.2.${i + 1}:80`),
      ...(weight === undefined ? {} : { weight }),
    }))
    const seen = view({ services: { [WEB]: { key: WEB, cluster: endpoints, local: [] } } })
    t.deepEqual(sorted(decided(seen, decideState()).hosts), want)
  })

test('if all others are ejected without a panic threshold, weight 0 serves', (t) => {
  const policy: ConnectionPolicy = { ...OUTLIERS, ...withPanic(0) }
  const endpoints = [1, 2, 3].map((host) => ({
    ...endpoint(`10.244.2.${host}:80`),
    weight: host === 3 ? 0 : 1,
  }))
  const seen = view({ services: { [WEB]: { key: WEB, cluster: endpoints, local: [], policy } } })
  const state = decideState()
  decided(seen, state)
  for (const host of [1, 2]) failOnce(state, host, policy)
  t.deepEqual(decided(seen, state).hosts, [3])
})

test('after failures the endpoints that were not tried come, and when all were, all again', (t) => {
  const state = decideState()
  const seen = viewOf(8)
  const first = decided(seen, state)
  t.is(first.hosts.length, 6)
  const failed = { progress: NOT_TRIED, deadlineAtMs: 10_000, retriesLeft: 5 }
  const next = nextRound({ ...failed, decision: first.decision }, 0, () => 0)
  if (next.kind !== 'wait') return t.fail()
  const second = decided(seen, state, { progress: next.progress })
  t.deepEqual(sorted([...first.hosts, ...second.hosts]), [1, 2, 3, 4, 5, 6, 7, 8])
  t.true(second.decision.roundComplete)
  const after = nextRound({ ...failed, decision: second.decision, progress: next.progress }, 0, () => 0)
  if (after.kind !== 'wait') return t.fail()
  t.is(after.progress.round, 1)
  t.is(decided(seen, state, { progress: after.progress }).hosts.length, 6)
})

test('if all that are left were tried, they are tried again', (t) => {
  const tried = new Set([1, 2, 3].map(keyOf))
  const { decision, hosts: again } = decided(viewOf(2), decideState(), { progress: { round: 0, tried } })
  t.deepEqual([sorted(again), decision.roundComplete], [[1, 2], true])
})

for (const kind of ['Random', 'RoundRobin', 'LeastConnections', 'PeakEWMA', 'Maglev'] as const)
  test(`${kind}: what was tried is not named again while another is left`, (t) => {
    const policy = { ...DEFAULT_CONNECTION_POLICY, balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, kind } }
    const state = decideState()
    const seen = viewOf(10, { policy })
    decided(seen, state)
    const tried = new Set([1, 2, 3, 4, 5, 6, 7].map(keyOf))
    t.deepEqual(sorted(decided(seen, state, { progress: { round: 0, tried } }).hosts), [8, 9, 10])
  })

test('a spent budget takes no candidate from a new connection', (t) => {
  const state = decideState()
  for (let i = 0; i < 200; i++) state.traffic.of(WEB).started(keyOf(1), 0, 'retry')
  t.is(decided(viewOf(10), state).hosts.length, 6)
})

test('the budget pays for every attempt of a later round', (t) => {
  const state = decideState()
  const again = { progress: { round: 1, tried: new Set<ReturnType<typeof keyOf>>() } }
  for (let i = 0; i < 97; i++) state.traffic.of(WEB).started(keyOf(1), 0, 'retry')
  t.is(decided(viewOf(10), state, again).hosts.length, 3)
  for (let i = 0; i < 3; i++) state.traffic.of(WEB).started(keyOf(1), 0, 'retry')
  const { decision, hosts: one } = decided(viewOf(10), state, again)
  t.is(one.length, 1)
  t.false(decision.roundComplete)
})

test('a client keeps its endpoint over PROXY headers too', (t) => {
  const affinity = new AffinityTable()
  const state = decideState({ affinity })
  const seen = viewOf(5, { affinitySeconds: 60 })
  affinity.remember(WEB, ip('203.0.113.9'), endpoint('10.244.2.4:80'), 60, 0)
  const peeked = { proxy: { client: { ip: ip('203.0.113.9'), port: 0 }, headerBytes: 28 } }
  const { decision, hosts: order } = decided(seen, state, { peeked })
  t.is(order[0], 4)
  t.deepEqual([decision.sticky, decision.skipBytes, decision.client.ip], ['kept', 28, ip('203.0.113.9')])
  t.is(decided(seen, state).decision.sticky, 'none')
})

test('an ejected endpoint of a client is lost for now and another takes its place', (t) => {
  const affinity = new AffinityTable()
  const state = decideState({ affinity })
  const seen = viewOf(5, { affinitySeconds: 60, policy: OUTLIERS })
  affinity.remember(WEB, FROM_POD.client.ip, endpoint('10.244.2.4:80'), 60, 0)
  t.is(decided(seen, state).decision.sticky, 'kept')
  failOnce(state, 4)
  const { decision, hosts: others } = decided(seen, state)
  t.is(decision.sticky, 'lost')
  t.deepEqual(sorted(others), [1, 2, 3, 5])
  t.is(decided(seen, { ...state, nowMs: 1_000 }).hosts[0], 4)
})

test('an endpoint that failed this connection is not first again, though it is the client’s', (t) => {
  const affinity = new AffinityTable()
  const state = decideState({ affinity })
  const seen = viewOf(8, { affinitySeconds: 60 })
  affinity.remember(WEB, FROM_POD.client.ip, endpoint('10.244.2.4:80'), 60, 0)
  const { decision, hosts: others } = decided(seen, state, {
    progress: { round: 0, tried: new Set([keyOf(4)]) },
  })
  t.is(decision.sticky, 'lost')
  t.false(others.includes(4))
})

test('an endpoint that left is nobody’s, and weight 0 keeps nobody while another has weight', (t) => {
  const affinity = new AffinityTable()
  const state = decideState({ affinity })
  affinity.remember(WEB, FROM_POD.client.ip, endpoint('10.244.2.9:80'), 60, 0)
  t.is(decided(viewOf(5, { affinitySeconds: 60 }), state).decision.sticky, 'none')
  affinity.remember(WEB, FROM_POD.client.ip, endpoint('10.244.2.1:80'), 60, 0)
  const cluster = [1, 2].map((host) => ({ ...endpoint(`10.244.2.${host}:80`), weight: host - 1 }))
  const seen = view({ services: { [WEB]: { key: WEB, cluster, local: [], affinitySeconds: 60 } } })
  const { decision, hosts: order } = decided(seen, state)
  t.deepEqual([decision.sticky, order], ['lost', [2]])
})

test('Maglev looks at the true client', (t) => {
  const policy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, kind: 'Maglev' as const },
  }
  const state = decideState()
  const seen = viewOf(20, { policy })
  const chosen = new Set<number>()
  for (let i = 0; i < 50; i++) {
    const peeked = { proxy: { client: { ip: hostIp(i), port: 1 }, headerBytes: 28 } }
    const [first] = decided(seen, state, { peeked }).hosts
    t.is(decided(seen, decideState(), { peeked }).hosts[0], first)
    if (first !== undefined) chosen.add(first)
  }
  t.true(chosen.size > 10, String(chosen.size))
})

test('a view that changes something else leaves the pool and its rotation alone', (t) => {
  const policy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, kind: 'RoundRobin' as const },
  }
  const state = decideState({ traffic: new Traffic(), maxCandidates: 1 })
  const turns: number[] = []
  for (let i = 0; i < 12; i++) {
    // A snapshot: everything is a new object, and nothing is different.
    const seen = structuredClone(viewOf(4, { policy }))
    turns.push(decided(seen, state).hosts[0] ?? 0)
  }
  for (let i = 0; i < 8; i++) t.is(turns[i], turns[i + 4])
  t.is(new Set(turns).size, 4)
})

test('second rounds of some connections do not disturb the rotation', (t) => {
  const policy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, kind: 'RoundRobin' as const },
  }
  const state = decideState({ maxCandidates: 1 })
  const seen = viewOf(5, { policy })
  const turns: number[] = []
  for (let i = 0; i < 40; i++) {
    const turn = decided(seen, state).hosts[0] ?? 0
    turns.push(turn)
    const [other] = decided(seen, state, { progress: { round: 0, tried: new Set([keyOf(turn)]) } }).hosts
    t.not(other, turn)
  }
  for (let i = 0; i < 35; i++) t.is(turns[i], turns[i + 5])
})

test('an address that becomes the node’s takes its endpoint out at once', (t) => {
  const local = new Set<string>()
  const state = decideState({ local: { has: (each) => local.has(each) } })
  const seen = view({ services: { [WEB]: service(['10.244.2.1:30080', '10.244.2.2:80']) } })
  t.is(decided(seen, state).hosts.length, 2)
  local.add('10.244.2.1')
  t.deepEqual(decided(seen, state).hosts, [2])
  local.clear()
  t.is(decided(seen, state).hosts.length, 2)
})
