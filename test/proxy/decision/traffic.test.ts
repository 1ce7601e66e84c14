import test from 'ava'
import * as fc from 'fast-check'
import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { endpointKey } from '#agent/proxy/decision/endpoint-key.ts'
import { SEED_MS } from '#agent/proxy/decision/latency.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { endpoint, service, view, WEB } from '../views.ts'
import { hostIp } from './pools.ts'

const A = endpointKey(endpoint('10.244.1.2:80'))
const B = endpointKey(endpoint('10.244.1.3:80'))

const SLOW: ConnectionPolicy = {
  ...DEFAULT_CONNECTION_POLICY,
  balancer: {
    ...DEFAULT_CONNECTION_POLICY.balancer,
    slowStart: { windowMs: 60_000, minWeightPercent: 10, aggression: 1 },
  },
}
const viewOf = (endpoints: readonly string[], policy?: ConnectionPolicy): ProxyView =>
  view({ services: { [WEB]: service(endpoints, policy === undefined ? {} : { policy }) } })

test('the memory of a Service port is one and the same', (t) => {
  const traffic = new Traffic()
  t.is(traffic.of(WEB), traffic.of(WEB))
  t.is([...traffic.services()].length, 1)
})

test('a Service port that left is forgotten, once nothing is open', (t) => {
  const traffic = new Traffic()
  traffic.of(WEB).admit(hostIp(1), { fair: true }, 0)
  traffic.prune(view({ services: {} }), 0)
  t.is([...traffic.services()].length, 1)
  traffic.of(WEB).leave(hostIp(1))
  traffic.prune(view({ services: {} }), 0)
  t.is([...traffic.services()].length, 0)
})

test('endpoints of the first view have always been there, later ones came when they came', (t) => {
  const traffic = new Traffic()
  traffic.prune(viewOf(['10.244.1.2:80'], SLOW), 1_000)
  traffic.prune(viewOf(['10.244.1.2:80', '10.244.1.3:80'], SLOW), 2_000)
  traffic.prune(viewOf(['10.244.1.2:80', '10.244.1.3:80'], SLOW), 3_000)
  t.is(traffic.of(WEB).joinedAtMs(A), -Infinity)
  t.is(traffic.of(WEB).joinedAtMs(B), 2_000)
})

test('a policy that comes later makes nobody new', (t) => {
  const traffic = new Traffic()
  traffic.prune(viewOf(['10.244.1.2:80']), 1_000)
  traffic.prune(viewOf(['10.244.1.2:80', '10.244.1.3:80'], SLOW), 2_000)
  t.is(traffic.of(WEB).joinedAtMs(A), -Infinity)
  t.is(traffic.of(WEB).joinedAtMs(B), 2_000)
})

test('one that left and came back is new again', (t) => {
  const traffic = new Traffic()
  for (const [i, endpoints] of [['10.244.1.2:80'], [], ['10.244.1.2:80']].entries())
    traffic.prune(viewOf(endpoints, SLOW), i * 1_000)
  t.is(traffic.of(WEB).joinedAtMs(A), 2_000)
})

test('without a policy that wants to know, the view alone is remembered by nobody', (t) => {
  const traffic = new Traffic()
  traffic.prune(viewOf(['10.244.1.2:80']), 0)
  t.is([...traffic.services()].length, 0)
})

test('an unknown endpoint is thought slow at first, and less so with time', (t) => {
  const traffic = new Traffic()
  const policy = { ...SLOW, balancer: { ...SLOW.balancer, kind: 'PeakEWMA' as const } }
  traffic.prune(viewOf(['10.244.1.2:80'], policy), 1_000)
  t.is(traffic.of(WEB).latencyMs(A, 1_000, 10_000), SEED_MS)
  t.true(traffic.of(WEB).latencyMs(A, 31_000, 10_000) < 2)
})

test('an edition stands while frontends and node do', (t) => {
  const traffic = new Traffic()
  const first = view()
  const edition = traffic.edition(first)
  t.is(traffic.edition({ ...first, services: {} }), edition)
  t.not(traffic.edition({ ...first, frontends: { ...first.frontends } }), edition)
  const other = traffic.edition(first)
  t.not(traffic.edition({ ...first, node: { ...first.node } }), other)
})

test('what is remembered is bounded by the view and by what is open, whatever happens', (t) => {
  const names = ['a', 'b', 'c'].map((name) => `default/${name}/TCP` as ServicePortKey)
  const anyHosts = fc.uniqueArray(fc.nat({ max: 9 }), { maxLength: 6 })
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.record({
            kind: fc.constant('view' as const),
            pools: fc.array(fc.option(anyHosts), { minLength: 3, maxLength: 3 }),
          }),
          fc.record({
            kind: fc.constantFrom('start' as const, 'end' as const, 'fail' as const),
            name: fc.nat({ max: 2 }),
            host: fc.nat({ max: 9 }),
          }),
        ),
        { maxLength: 120 },
      ),
      (events) => {
        const traffic = new Traffic()
        let latest = view({ services: {} })
        const open = new Map<string, number>()
        const keyOf = (host: number): ReturnType<typeof endpointKey> =>
          endpointKey(endpoint(`10.244.1.${host}:80`))
        for (const [nowMs, event] of events.entries()) {
          if (event.kind === 'view') {
            latest = view({
              services: Object.fromEntries(
                event.pools.flatMap((hosts, i) => {
                  const key = names[i]
                  if (hosts === null || key === undefined) return []
                  const made = service(hosts.map((host) => `10.244.1.${host}:80`))
                  return [[key, { ...made, key, policy: SLOW }]]
                }),
              ),
            })
            traffic.prune(latest, nowMs)
            continue
          }
          const service_ = names[event.name] ?? WEB
          const at = `${service_} ${event.host}`
          const count = open.get(at) ?? 0
          if (event.kind === 'start') {
            traffic.of(service_).started(keyOf(event.host), nowMs)
            open.set(at, count + 1)
          } else if (count > 0) {
            if (event.kind === 'end') traffic.of(service_).ended(keyOf(event.host), nowMs)
            else
              traffic
                .of(service_)
                .failed(keyOf(event.host), { code: 'ECONNREFUSED', durationMs: 1 }, nowMs, SLOW)
            open.set(at, count - 1)
          }
        }
        for (const [at, count] of open) {
          const [name, host] = at.split(' ')
          t.is(traffic.of(name as ServicePortKey).active(keyOf(Number(host))), count)
          for (let i = 0; i < count; i++) traffic.of(name as ServicePortKey).ended(keyOf(Number(host)), 1_000)
        }
        traffic.prune({ ...latest, services: structuredClone(latest.services) }, 1_000)
        for (const each of traffic.services())
          t.true(each.size <= (latest.services[each.key]?.cluster.length ?? 0), `${each.key}: ${each.size}`)
        traffic.prune(view({ services: {} }), 1_000)
        t.is([...traffic.services()].length, 0)
      },
    ),
    { numRuns: 300 },
  )
})
