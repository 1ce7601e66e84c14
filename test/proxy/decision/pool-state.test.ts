import test from 'ava'
import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import { PoolState } from '#agent/proxy/decision/pool-state.ts'
import { ServiceTraffic } from '#agent/proxy/decision/service-traffic.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { candidate, decideState, frontend, service, view, WEB } from '../views.ts'

const HOSTS = ['10.244.2.1:80', '10.244.2.2:80', 'fd00::2:80']

/** Reads the view as decisions do. */
function readInto(state: PoolState, traffic: Traffic, seen: ProxyView): number {
  const { local, listenerPort } = decideState()
  const around = { view: seen, edition: traffic.edition(seen), local, listenerPort }
  return state.read(seen.services[WEB]?.cluster ?? [], around)
}
const names = (state: PoolState): string[] => state.weighted.members.map((each) => each.ip)

test('a pool is of one family, and names an endpoint once', (t) => {
  const state = new PoolState('IPv4')
  const seen = view({ services: { [WEB]: service([...HOSTS, '10.244.2.1:80']) } })
  t.is(readInto(state, new Traffic(), seen), 2)
  t.deepEqual(names(state), ['10.244.2.1', '10.244.2.2'])
})

test('a snapshot that says the same keeps the pool, and all that was made of it', (t) => {
  const state = new PoolState('IPv4')
  const traffic = new Traffic()
  readInto(state, traffic, view({ services: { [WEB]: service(HOSTS) } }))
  const before = state.weighted
  readInto(state, traffic, view({ services: { [WEB]: service(HOSTS) } }))
  t.is(state.weighted, before)
  readInto(state, traffic, view({ services: { [WEB]: service(HOSTS.slice(1)) } }))
  t.not(state.weighted, before)
})

test('another weight is another pool', (t) => {
  const state = new PoolState('IPv4')
  const traffic = new Traffic()
  const made = service(HOSTS)
  readInto(state, traffic, view({ services: { [WEB]: made } }))
  const before = state.weighted
  const cluster = made.cluster.map((each, i) => ({ ...each, weight: i + 1 }))
  readInto(state, traffic, view({ services: { [WEB]: { ...made, cluster } } }))
  t.not(state.weighted, before)
  t.deepEqual([...(state.weighted.weights ?? [])], [1, 2])
})

test('an endpoint that clients dial since is out, though the Service did not change', (t) => {
  const state = new PoolState('IPv4')
  const traffic = new Traffic()
  const seen = view({ services: { [WEB]: service(HOSTS) } })
  readInto(state, traffic, seen)
  t.is(state.weighted.members.length, 2)
  readInto(state, traffic, {
    ...seen,
    frontends: { ...seen.frontends, '10.244.2.1|80': frontend('ExternalIP') },
  })
  t.deepEqual(names(state), ['10.244.2.2'])
  readInto(state, traffic, seen)
  t.is(state.weighted.members.length, 2)
})

test('without ejections what is usable is the pool itself, the same object each time', (t) => {
  const state = new PoolState('IPv4')
  readInto(state, new Traffic(), view({ services: { [WEB]: service(HOSTS) } }))
  const none = new Set<never>()
  t.is(state.usable(none, undefined).pool, state.weighted)
  t.is(state.usable(none, undefined), state.usable(none, undefined))
})

test('weights of slow start are taken anew a hundred times in a window, and stand in between', (t) => {
  const state = new PoolState('IPv4')
  const traffic = new ServiceTraffic(WEB)
  readInto(state, new Traffic(), view({ services: { [WEB]: service(HOSTS) } }))
  traffic.meet([candidate('10.244.2.2:80').key], new Set(), 0)
  const policy: ConnectionPolicy = {
    ...DEFAULT_CONNECTION_POLICY,
    balancer: {
      ...DEFAULT_CONNECTION_POLICY.balancer,
      slowStart: { windowMs: 10_000, minWeightPercent: 10, aggression: 1 },
    },
  }
  const at = (nowMs: number): ReturnType<PoolState['warmed']> =>
    state.warmed(state.weighted, traffic, policy, nowMs)
  const first = at(5_000)
  t.deepEqual([first.weight(0), first.weight(1)], [1, 0.5])
  t.is(at(5_099), first)
  t.is(at(5_100).weight(1), 0.51)
  t.is(at(10_000), state.weighted)
  t.is(state.warmed(state.weighted, traffic, DEFAULT_CONNECTION_POLICY, 5_000), state.weighted)
})
