// decide() answers for any view, any state and any history, and what it answers can be done.

import test from 'ava'
import * as fc from 'fast-check'
import { BALANCERS } from '#agent/proxy/decision/balance/balancer.ts'
import type { Cidr } from '#agent/model/cidr.ts'
import type { BalancerKind, ConnectionPolicy } from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { decide, type Earlier } from '#agent/proxy/decision/decide.ts'
import { endpointKey, type EndpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { wouldLoop } from '#agent/proxy/decision/loop.ts'
import { nextRound, NOT_TRIED } from '#agent/proxy/decision/retry.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView, ViewService } from '#agent/proxy/decision/view.ts'
import { whyOf } from '#agent/proxy/decision/why.ts'
import { decideState, endpoint, flow, frontend, ip, view, WEB } from '../views.ts'

const OTHER = 'default/other/TCP' as ServicePortKey
const anyTimeMs = fc.nat({ max: 120_000 })

const anyEndpoint = fc
  .record({
    address: fc.constantFrom('10.244.1.', 'fd00::'),
    host: fc.integer({ min: 1, max: 12 }),
    port: fc.constantFrom(80, 15001, 30080),
    local: fc.boolean(),
    weight: fc.option(fc.oneof(fc.nat({ max: 5 }), fc.double()), { nil: undefined }),
  })
  .map(({ address, host, port, local, weight }) => ({
    ...endpoint(`${address}${host}:${port}`, local),
    ...(weight === undefined ? {} : { weight }),
  }))

const anyPolicy: fc.Arbitrary<ConnectionPolicy> = fc.record(
  {
    balancer: fc.record({
      kind: fc.constantFrom(...(Object.keys(BALANCERS) as BalancerKind[])),
      slowStart: fc.record({
        windowMs: fc.nat({ max: 60_000 }),
        minWeightPercent: fc.nat({ max: 100 }),
        aggression: fc.double({ min: 0.01, max: 10, noNaN: true }),
      }),
      decayMs: fc.integer({ min: 1, max: 60_000 }),
    }),
    connect: fc.record({
      attemptTimeoutMs: fc.integer({ min: 1, max: 5_000 }),
      deadlineMs: fc.integer({ min: 1, max: 10_000 }),
      backoff: fc.record({
        baseMs: fc.integer({ min: 1, max: 100 }),
        maxMs: fc.integer({ min: 1, max: 1_000 }),
      }),
      retryBudget: fc.record({ percent: fc.nat({ max: 100 }), minPerSecond: fc.nat({ max: 10 }) }),
    }),
    timeouts: fc.constant({ idleMs: 1, halfClosedMs: 1, silentMs: 1, lifetimeMs: 0 }),
    outlier: fc.record({
      consecutiveFailures: fc.integer({ min: 1, max: 3 }),
      baseEjectionMs: fc.integer({ min: 1, max: 30_000 }),
      maxEjectionMs: fc.integer({ min: 1, max: 60_000 }),
      maxEjectionPercent: fc.nat({ max: 100 }),
      panicPercent: fc.nat({ max: 100 }),
    }),
    limits: fc.constant({ fair: true }),
    proxyProtocol: fc.record({
      send: fc.constantFrom('none' as const, 'v2' as const),
      acceptFrom: fc.subarray(['203.0.113.0/24' as Cidr, '::/0' as Cidr]),
    }),
  },
  { requiredKeys: ['balancer', 'connect', 'timeouts', 'limits', 'proxyProtocol'] },
)

const anyService = (key: ServicePortKey): fc.Arbitrary<ViewService> =>
  fc.record(
    {
      key: fc.constant(key),
      cluster: fc.array(anyEndpoint, { maxLength: 15 }),
      local: fc.array(anyEndpoint, { maxLength: 3 }),
      affinitySeconds: fc.integer({ min: 1, max: 60 }),
      policy: anyPolicy,
      tlsRoutes: fc.array(
        fc.record({
          route: fc.constant('default/r'),
          hostname: fc.constantFrom('', 'a.b', '*.b'),
          backends: fc.array(
            fc.record({
              service: fc.constantFrom(WEB, OTHER, null, 'default/gone/TCP' as ServicePortKey),
              pool: fc.constantFrom('cluster' as const, 'local' as const),
              weight: fc.nat({ max: 3 }),
            }),
            { maxLength: 3 },
          ),
        }),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: ['key', 'cluster', 'local'] },
  )

const anyView: fc.Arbitrary<ProxyView> = fc
  .record({ web: anyService(WEB), other: fc.option(anyService(OTHER), { nil: undefined }), v6: fc.boolean() })
  .map(({ web, other, v6 }) =>
    view({
      frontends: {
        [v6 ? 'fd00:96::10|80' : '10.96.0.10|80']: frontend('ClusterIP', {
          pod: 'cluster',
          host: 'local',
          outside: 'local',
        }),
        'node|30080': frontend('NodePort'),
      },
      services: { [WEB]: web, ...(other === undefined ? {} : { [OTHER]: other }) },
    }),
  )

const anyConnection = fc.record({
  view: fc.nat({ max: 2 }),
  flow: fc.constantFrom(
    flow('10.244.1.7:5000', '10.96.0.10:80'),
    flow('203.0.113.5:5000', '10.96.0.10:80'),
    flow('fd00::99:5000', 'fd00:96::10:80'),
    flow('10.244.1.7:5000', '192.168.0.10:30080'),
  ),
  name: fc.constantFrom(undefined, 'a.b', 'x.b', 'c'),
  header: fc.constantFrom(undefined, '198.51.100.7'),
  stepMs: anyTimeMs,
  fails: fc.boolean(),
})

test('whatever the views and the history, decisions name endpoints of the pool, each once, none tried before others', (t) => {
  const kinds = new Map<string, number>()
  fc.assert(
    fc.property(
      fc.array(anyView, { minLength: 3, maxLength: 3 }),
      fc.array(anyConnection, { maxLength: 25 }),
      fc.infiniteStream(
        fc.oneof(
          fc.constantFrom(0, 1 - 2 ** -53),
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        ),
      ),
      (views, connections, draws) => {
        const draw = (): number => draws.next().value ?? 0
        const memory = { traffic: new Traffic(), affinity: new AffinityTable() }
        let nowMs = 0
        for (const { view: index, flow: by, name, header, stepMs, fails } of connections) {
          nowMs += stepMs
          const seen = views[index] ?? view()
          memory.traffic.prune(seen, nowMs)
          let earlier: Earlier = {}
          const deadlineAtMs = nowMs + 5_000
          for (let phase = 0; phase < 8; phase++) {
            const state = decideState({ ...memory, nowMs })
            const made = decide(by, seen, state, draw, earlier)
            t.true(whyOf(made).length > 0)
            kinds.set(made.kind, (kinds.get(made.kind) ?? 0) + 1)
            if (made.kind === 'peek') {
              t.true(earlier.peeked === undefined, 'peeks once')
              earlier = {
                peeked: {
                  ...(made.wanted.tls ? { tls: { kind: 'hello' as const, serverName: name } } : {}),
                  ...(made.wanted.proxyHeader && header !== undefined
                    ? { proxy: { client: { ip: ip(header), port: 0 }, headerBytes: 28 } }
                    : {}),
                },
              }
              continue
            }
            if (made.kind !== 'connect') break
            const { candidates, policy, service } = made
            const keys = candidates.map(({ key }) => key)
            const pool = seen.services[service]?.[made.pool] ?? []
            t.true(keys.length >= 1 && keys.length <= 6)
            t.is(new Set(keys).size, keys.length)
            for (const each of candidates) {
              t.is(each.key, endpointKey(each))
              t.true(pool.some(({ ip: host, port }) => host === each.ip && port === each.port))
              t.false(wouldLoop(each, seen, state.local, state.listenerPort))
            }
            const tried = earlier.progress?.tried ?? new Set<EndpointKey>()
            if (keys.some((key) => tried.has(key))) t.true(keys.every((key) => tried.has(key)))
            const traffic = memory.traffic.of(service)
            if (!made.panic && policy.outlier !== undefined)
              for (const key of keys) t.is(traffic.ejectedUntilMs(key, nowMs), undefined)
            const [first] = candidates
            if (first === undefined) break
            traffic.started(first.key, nowMs, earlier.progress === undefined ? 'first' : 'retry')
            if (!fails) {
              traffic.connected(first.key, 1, nowMs, policy)
              if (made.affinitySeconds !== undefined)
                memory.affinity.remember(service, made.client.ip, first, made.affinitySeconds, nowMs)
              break
            }
            traffic.failed(first.key, { code: 'ECONNREFUSED', durationMs: 1 }, nowMs, policy)
            const retriesLeft = traffic.retriesLeft(nowMs, policy.connect.retryBudget)
            const progress = earlier.progress ?? NOT_TRIED
            const next = nextRound({ decision: made, progress, deadlineAtMs, retriesLeft }, nowMs, draw)
            if (next.kind === 'giveUp') break
            nowMs += next.delayMs
            earlier = { ...earlier, progress: next.progress, service }
          }
        }
      },
    ),
    { numRuns: 1_000 },
  )
  t.log(Object.fromEntries(kinds))
  for (const kind of ['connect', 'peek', 'refuse']) t.true((kinds.get(kind) ?? 0) > 500, kind)
})
