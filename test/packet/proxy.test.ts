// The proxy process on the real kernel: both ways in, the dead man's switch, privileges, drain, restart alone.

import test from 'ava'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import type { ConnectionRecord, ProxyConnections } from '#agent/proxy/admin-shapes.ts'
import { frontend, service, view, WEB } from '../proxy/views.ts'
import { policyOf } from '../proxy/intake-lab.ts'
import { ProxyLab, type ProxyProcess } from './proxy-lab.ts'

const LIVE = ['SHUNT-STEER-4', 'SHUNT-STEER-6', 'SHUNT-STEER-NP']

const VIEW = view({
  frontends: {
    '10.96.0.10|80': frontend(),
    'fd00:96::10|80': frontend(),
    '10.96.0.20|80': frontend(),
    'node|30080': frontend('NodePort'),
  },
  services: { [WEB]: service(['10.244.1.2:8080', 'fd00:244::2:8080']) },
})

test('steered by sk_lookup: both families, a NodePort, the self-test; unprivileged, marked, recorded', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.ask({ kind: 'serve', ip: 'fd00:244::2', port: 8080, name: 'six' })
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy()
  const status = await proxy.until('serving', ({ state }) => state === 'serving')
  t.like(status, { uid: 15001, agentConnected: true, skLookup: true, degraded: [] })
  t.deepEqual(status.listeners, ['0.0.0.0:15001', '[::]:15001'])
  const privileges = await readFile(`/proc/${status.pid}/status`, 'utf8')
  t.regex(privileges, /^Uid:\t15001\t15001\t15001\t15001$/m)
  // NET_BIND_SERVICE and NET_ADMIN.
  t.regex(privileges, /^CapEff:\t0000000000001400$/m)
  t.deepEqual(await lab.liveSets(), LIVE)
  t.regex(await lab.namespace.exec('ss', '-4ltnH'), /LISTEN 0 +4096 +0\.0\.0\.0:15001/)

  lab.steer(
    { ip: '10.96.0.10', port: 80 },
    { ip: 'fd00:96::10', port: 80 },
    { ip: undefined, port: 30080 },
    { ip: '169.254.53.90', port: 15009 },
  )
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), {
    data: 'four\nhi',
    ending: 'end',
  })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: 'fd00:96::10', port: 80, send: 'hi' }), {
    data: 'six\nhi',
    ending: 'end',
  })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '192.168.0.10', port: 30080, send: 'hi' }), {
    data: 'four\nhi',
    ending: 'end',
  })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '169.254.53.90', port: 15009, send: '' }), {
    data: `shunt ${status.pid} 1\n`,
    ending: 'end',
  })

  const { ended } = await settled(proxy)
  t.deepEqual(
    byNumber(ended).map((each) => [each.originalDestination, each.endpoint, each.ended]),
    [
      ['10.96.0.10:80', '10.244.1.2:8080', 'closed'],
      ['[fd00:96::10]:80', '[fd00:244::2]:8080', 'closed'],
      ['192.168.0.10:30080', '10.244.1.2:8080', 'closed'],
    ],
  )
  t.like(await lab.ask({ kind: 'hold', ip: '10.96.0.10', port: 80 }), { ending: 'open' })
  t.regex(await lab.namespace.exec('ss', '-tneH', 'dst', '10.244.1.2:8080'), /fwmark:0x531000/)
  t.regex(await proxy.metrics(), /shunt_proxy_connections_total\{service="default\/web\/TCP"\} 4/)
})

test('steered by DNAT: conntrack knows the destination; straight to the port is refused', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.ask({ kind: 'serve', ip: 'fd00:244::2', port: 8080, name: 'six' })
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy()
  await proxy.until('serving', ({ state }) => state === 'serving')
  await lab.namespace.exec(
    'iptables-nft',
    ...'-t nat -A OUTPUT -p tcp -d 10.96.0.20 --dport 80 -j DNAT --to-destination 192.168.0.10:15001'.split(
      ' ',
    ),
  )
  await lab.namespace.exec(
    'ip6tables-nft',
    ...'-t nat -A OUTPUT -p tcp -d fd00:96::10 --dport 80 -j DNAT --to-destination [fd00:244::2]:15001'.split(
      ' ',
    ),
  )
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.20', port: 80, send: 'hi' }), {
    data: 'four\nhi',
    ending: 'end',
  })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: 'fd00:96::10', port: 80, send: 'hi' }), {
    data: 'six\nhi',
    ending: 'end',
  })
  t.deepEqual(
    byNumber((await settled(proxy)).ended).map((each) => each.originalDestination),
    ['10.96.0.20:80', '[fd00:96::10]:80'],
  )

  for (const ip of ['192.168.0.10', '127.0.0.1', '::1'])
    t.deepEqual(await lab.ask({ kind: 'dial', ip, port: 15001, send: 'hi' }), {
      data: '',
      ending: 'ECONNRESET',
    })
  t.deepEqual((await proxy.status()).connections.refused, { direct: 3 })
  t.is(proxy.log.match(/connection refused: direct/g)?.length, 1)
})

test('a destination that the kernel steers and nobody serves is refused and counted', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy()
  await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.66', port: 443 })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.66', port: 443, send: 'hi' }), {
    data: '',
    ending: 'ECONNRESET',
  })
  t.deepEqual((await proxy.status()).connections.refused, { 'no-frontend': 1 })
})

test('a black hole and a refusal cost attempts, not the connection', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.namespace.exec('iptables-nft', ...'-A INPUT -p tcp -d 10.244.1.3 --dport 8080 -j DROP'.split(' '))
  await lab.startAgent(
    view({
      frontends: { '10.96.0.10|80': frontend() },
      services: {
        [WEB]: service(['10.244.1.2:8080', '10.244.1.3:8080', '10.244.1.2:9'], {
          policy: policyOf({ connect: { ...DEFAULT_CONNECTION_POLICY.connect, attemptTimeoutMs: 300 } }),
        }),
      },
    }),
  )
  const proxy = lab.startProxy()
  await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  for (let i = 0; i < 12; i++)
    t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), {
      data: 'four\nhi',
      ending: 'end',
    })
  const results = (await settled(proxy)).ended.flatMap((each) => each.attempts.map(({ result }) => result))
  t.true(results.includes('ECONNREFUSED') && results.includes('ETIMEDOUT'), results.join())
})

test('a client that goes away while the endpoint is a black hole cancels the attempt', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.namespace.exec('iptables-nft', ...'-A INPUT -p tcp -d 10.244.1.2 --dport 8080 -j DROP'.split(' '))
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy()
  await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  await lab.ask({ kind: 'abort', ip: '10.96.0.10', port: 80 })
  await proxy.until('idle', ({ connections }) => connections.accepted === 1 && connections.open === 0)
  const [record] = (await settled(proxy)).ended
  t.is(record?.ended, 'client-gone')
  t.is(record?.attempts[0]?.result, 'cancelled')
  t.is(await lab.namespace.exec('ss', '-tnH', 'state', 'syn-sent'), '')
})

test("the dead man's switch: a stalled proxy falls out of the path and comes back, a killed one is out", async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy()
  const { pid } = await proxy.until('serving', ({ state }) => state === 'serving')
  process.kill(pid, 'SIGSTOP')
  await sleep(1_500)
  t.deepEqual(await lab.liveSets(), [])
  process.kill(pid, 'SIGCONT')
  await sleep(500)
  t.deepEqual(await lab.liveSets(), LIVE)
  process.kill(pid, 'SIGKILL')
  await proxy.exited
  await sleep(1_500)
  t.deepEqual(await lab.liveSets(), [])
})

test('drain: out of the path at once, what is open goes on, late arrivals are served, the rest is reset in time', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy({ drainMs: 2_000 })
  const { pid } = await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  t.deepEqual(await lab.ask({ kind: 'hold', ip: '10.96.0.10', port: 80 }), { data: 'four\n', ending: 'open' })
  process.kill(pid, 'SIGTERM')
  await proxy.until('draining', ({ state }) => state === 'draining')
  t.deepEqual(await lab.liveSets(), [])
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'late' }), {
    data: 'four\nlate',
    ending: 'end',
  })
  await sleep(1_500)
  t.deepEqual(await lab.ask({ kind: 'say', text: 'still here' }), { data: 'still here', ending: 'open' })
  t.is(await proxy.exited, 0)
  t.deepEqual(await lab.ask({ kind: 'say', text: 'gone' }), { data: '', ending: 'closed' })
})

test('a proxy that starts alone serves the last view at once; a second one on the folder is refused', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent({ ...VIEW, generation: 7 })
  const first = lab.startProxy()
  const { pid } = await first.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  const second = lab.startProxy({ handover: 'never' })
  t.is(await second.exited, 1)
  t.regex(second.log, /ALREADY_RUNNING/)
  await sleep(500)
  await lab.stopAgent()
  process.kill(pid, 'SIGKILL')
  await first.exited

  const alone = lab.startProxy()
  const status = await alone.until('serving', ({ state }) => state === 'serving')
  t.like(status, {
    agentConnected: false,
    degraded: ['the agent is not connected'],
    view: { generation: 7, source: 'disk' },
  })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), {
    data: 'four\nhi',
    ending: 'end',
  })
})

test('limits: more connections than allowed are reset; the rest is not disturbed', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy({ maxConnections: 1 })
  await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  t.like(await lab.ask({ kind: 'hold', ip: '10.96.0.10', port: 80 }), { ending: 'open' })
  t.deepEqual(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), {
    data: '',
    ending: 'ECONNRESET',
  })
  t.like(await lab.ask({ kind: 'say', text: 'hello' }), { data: 'hello' })
  t.deepEqual((await proxy.status()).connections.refused, { overload: 1 })
})

test('few descriptors: a flood is served as far as they reach, the rest is reset, nothing is stuck', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent(VIEW)
  const proxy = lab.startProxy({}, { descriptors: 300 })
  const { connections } = await proxy.until('serving', ({ state }) => state === 'serving')
  t.is(connections.max, 22)
  lab.steer({ ip: '10.96.0.10', port: 80 })
  const answers = await lab.ask({ kind: 'flood', ip: '10.96.0.10', port: 80, count: 200 })
  t.deepEqual(JSON.parse(answers.data), { open: 22, ECONNRESET: 178 })
  t.like(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), { ending: 'ECONNRESET' })
  await lab.ask({ kind: 'release' })
  await proxy.until('idle', (status) => status.connections.open === 0)
  t.like(await lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' }), { data: 'four\nhi' })
})

test('a storm of clients that end in every way leaves no connection and no descriptor behind', async (t) => {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.startAgent(
    view({
      frontends: { '10.96.0.10|80': frontend() },
      // One of the two refuses.
      services: { [WEB]: service(['10.244.1.2:8080', '10.244.1.2:9']) },
    }),
  )
  const proxy = lab.startProxy()
  const { pid } = await proxy.until('serving', ({ state }) => state === 'serving')
  lab.steer({ ip: '10.96.0.10', port: 80 })
  await lab.ask({ kind: 'storm', ip: '10.96.0.10', port: 80, count: 200 })
  await proxy.until('idle', ({ connections }) => connections.open === 0)
  const before = await descriptors(pid)
  await lab.ask({ kind: 'storm', ip: '10.96.0.10', port: 80, count: 3_000 })
  await proxy.until('idle', ({ connections }) => connections.open === 0)
  const after = await descriptors(pid)
  // The question for the status has a descriptor of its own, which may be there or not.
  t.true(Math.abs(after - before) <= 2, `${before} descriptors before, ${after} after`)
  t.notRegex(proxy.log, /a bug was met/)
})

/** Who asks may be told of the end of a connection sooner than its record is written. */
async function settled(proxy: ProxyProcess): Promise<ProxyConnections> {
  await proxy.until('idle', ({ connections }) => connections.open === 0)
  return proxy.connections()
}

/** In the order of accept: two workers tell of ends when each gets round to it. */
function byNumber(records: readonly ConnectionRecord[]): readonly ConnectionRecord[] {
  return records.toSorted((a, b) => a.id - b.id)
}

async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}
