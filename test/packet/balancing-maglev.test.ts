// Maglev through the real agent and the proxies of two nodes: many client addresses, each with its endpoint, whatever
// becomes of workers, processes and other endpoints.

import test from 'ava'

import { CLIENT } from '../support/lab/topology.ts'
import { BalancingStage, CLIENT_POD, clientAddresses, NODE, type BalancedService } from './balancing/stage.ts'

const CLIENTS = 400

const HASHED: BalancedService = {
  name: 'hashed',
  number: 122,
  endpoints: ['p11', 'p12', 'p21', 'p22'],
  policy: { loadBalancer: { type: 'Maglev' } },
}
let stage: BalancingStage

test.before(async () => {
  stage = await BalancingStage.start([HASHED])
  await stage.giveAddresses()
})

test.after.always(() => stage?.stop())

test.serial('a client address has one endpoint, on every worker and after a restart', async (t) => {
  const first = await endpointsOf(HASHED)
  t.is(first.size, CLIENTS)
  t.is(new Set(first.values()).size, 4)
  const before = (await stage.status()).workers.map(({ accepted }) => accepted)
  t.deepEqual(moved(first, await endpointsOf(HASHED)), [])
  const after = (await stage.status()).workers.map(({ accepted }) => accepted)
  for (const [worker, count] of after.entries())
    t.true(count - (before[worker] ?? 0) > CLIENTS / 4, `worker ${worker} had its part`)
  await stage.pair.proxy.kill()
  stage.pair.startProxy()
  await stage.untilSteered(HASHED, stage.pair, CLIENT_POD)
  t.deepEqual(moved(first, await endpointsOf(HASHED)), [])
})

test.serial('the proxy of another node sends a client address to the same endpoint', async (t) => {
  const first = await endpointsOf(HASHED)
  const other = stage.startPair('node2')
  await stage.untilSteered(HASHED, other, 'p22')
  const node2 = stage.lab.node('node2').lanIpv4
  const route = [`${stage.to(HASHED)}/32`, 'via', node2]
  await stage.lab.exec(CLIENT, ['/usr/sbin/ip', 'route', 'add', ...route])
  const accepted = await stage.metric('shunt_proxy_connections_total', HASHED)
  t.deepEqual(moved(first, await endpointsOf(HASHED)), [])
  t.is(await stage.metric('shunt_proxy_connections_total', HASHED), accepted, `${NODE} had none of them`)
  await stage.lab.exec(CLIENT, ['/usr/sbin/ip', 'route', 'del', ...route])
  await other.stop()
})

test.serial('an endpoint that leaves moves its clients alone, and gets them back', async (t) => {
  const first = await endpointsOf(HASHED)
  await stage.change({ ...HASHED, endpoints: ['p11', 'p12', 'p21'] })
  // Some decisions later the new table is full.
  await stage.connect(HASHED, { count: 60 })
  const without = await endpointsOf(HASHED)
  const others = moved(first, without).filter((client) => first.get(client) !== 'p22')
  t.log({ moved: moved(first, without).length, others: others.length })
  t.false([...without.values()].includes('p22'))
  t.true(others.length <= CLIENTS * 0.02, `${others.length} clients of others moved`)
  await stage.change(HASHED)
  await stage.connect(HASHED, { count: 60 })
  t.deepEqual(moved(first, await endpointsOf(HASHED)), [])
})

/** Who answers each of many client addresses. */
async function endpointsOf(service: BalancedService): Promise<ReadonlyMap<string, string>> {
  const from = clientAddresses(CLIENTS)
  const seen = await stage.connect(service, { place: CLIENT, count: from.length, from })
  return new Map(
    seen.flatMap((one, i) => (one.kind === 'answered' ? [[from[i] ?? '', one.by] as const] : [])),
  )
}

/** Clients that have another endpoint than before. */
function moved(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly string[] {
  return [...before.keys()].filter((client) => before.get(client) !== after.get(client))
}
