// Several workers on the real kernel: connections spread over them, and nobody waits for one that is stuck or dead.

import test, { type ExecutionContext } from 'ava'
import type { ProxyStatus } from '#agent/proxy/admin-shapes.ts'
import { frontend, service, view, WEB } from '../proxy/views.ts'
import { ProxyLab, type ProxyProcess } from './proxy-lab.ts'

const WAYS = [
  { mechanism: 'sk_lookup', ip: '10.96.0.10', workers: 2 },
  { mechanism: 'sk_lookup', ip: 'fd00:96::10', workers: 3 },
  { mechanism: 'dnat', ip: '10.96.0.20', workers: 2 },
  { mechanism: 'dnat', ip: 'fd00:96::20', workers: 3 },
] as const

const CONNECTIONS = 4_000

for (const { mechanism, ip, workers } of WAYS)
  test(`${mechanism} to ${ip}: ${workers} workers get the same number of connections, within a tenth`, async (t) => {
    const { lab, proxy } = await start(t, workers)
    if (mechanism === 'sk_lookup') lab.steer({ ip, port: 80 })
    else await translate(lab, ip)
    await lab.ask({ kind: 'storm', ip, port: 80, count: CONNECTIONS })
    const status = await proxy.until('idle', ({ connections }) => connections.open === 0)
    const shares = status.workers.map(({ accepted }) => accepted)
    t.is(shares.length, workers)
    t.is(sum(shares), CONNECTIONS)
    t.is(status.connections.accepted, CONNECTIONS)
    for (const share of shares)
      t.true(Math.abs(share - CONNECTIONS / workers) < (CONNECTIONS / workers) * 0.1, shares.join())
  })

test('while one worker is stuck the other serves its listeners; then it is back', async (t) => {
  const { lab, proxy } = await start(t, 2)
  lab.steer({ ip: '10.96.0.10', port: 80 })
  proxy.fault('stall 0 4000')
  const stuck = await proxy.until('stuck', ({ workers }) => workers[0]?.state === 'stalled')
  t.deepEqual(stuck.degraded, ['worker 0 is stuck'])
  t.is(stuck.state, 'serving')
  for (let i = 0; i < 20; i++) t.deepEqual(await dial(lab), { data: 'four\nhi', ending: 'end' })
  const during = await proxy.status()
  t.is(during.workers[0]?.accepted, stuck.workers[0]?.accepted, 'the stuck one took none')
  const back = await proxy.until('well', ({ workers }) => workers[0]?.state === 'healthy')
  t.deepEqual(back.degraded, [])
  const before = accepted(back, 0)
  for (let i = 0; i < 60; i++) t.deepEqual(await dial(lab), { data: 'four\nhi', ending: 'end' })
  const after = await proxy.status()
  t.true(accepted(after, 0) > before)
  t.regex(await proxy.metrics(), /^shunt_proxy_worker_stalls_total\{worker="0"\} 1$/m)
  t.regex(proxy.log, /a worker is stuck/)
})

test('with the only worker stuck the heartbeat stops, and the kernel serves alone until it is back', async (t) => {
  const { lab, proxy } = await start(t, 1)
  proxy.fault('stall 0 4000')
  await proxy.until('waiting', ({ state }) => state === 'waiting')
  const { heartbeat } = await proxy.status()
  t.is(heartbeat.because, 'no worker goes round')
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  t.deepEqual(await lab.liveSets(), [])
  await proxy.until('serving', ({ state }) => state === 'serving')
  t.is((await lab.liveSets()).length, 3)
})

test('a worker that dies is replaced: its connections are lost and recorded, the others live', async (t) => {
  const { lab, proxy } = await start(t, 2)
  lab.steer({ ip: '10.96.0.10', port: 80 })
  await lab.ask({ kind: 'flood', ip: '10.96.0.10', port: 80, count: 40 })
  const [lost, kept] = await shares(proxy)
  t.true(lost > 0 && kept > 0, `${lost} and ${kept}`)
  proxy.fault('die 0')
  const status = await proxy.until('less', ({ connections }) => connections.open === kept)
  t.deepEqual(
    status.workers.map(({ number, state }) => [number, state]),
    [
      [0, 'healthy'],
      [1, 'healthy'],
    ],
  )
  const { ended } = await proxy.connections()
  t.deepEqual(
    ended.map((each) => [each.worker, each.ended]),
    Array.from({ length: lost }, () => [0, 'worker-lost']),
  )
  for (let i = 0; i < 40; i++) t.deepEqual(await dial(lab), { data: 'four\nhi', ending: 'end' })
  t.true(accepted(await proxy.status(), 0) > 0, 'its successor accepts')
  t.regex(await proxy.metrics(), /^shunt_proxy_worker_losses_total\{worker="0"\} 1$/m)
  t.regex(proxy.log, /the thread of a worker ended/)
})

async function start(t: ExecutionContext, workers: number): Promise<{ lab: ProxyLab; proxy: ProxyProcess }> {
  const lab = await ProxyLab.start(t)
  await lab.ask({ kind: 'serve', ip: '10.244.1.2', port: 8080, name: 'four' })
  await lab.ask({ kind: 'serve', ip: 'fd00:244::2', port: 8080, name: 'six' })
  await lab.startAgent(
    view({
      frontends: {
        '10.96.0.10|80': frontend(),
        'fd00:96::10|80': frontend(),
        '10.96.0.20|80': frontend(),
        'fd00:96::20|80': frontend(),
      },
      services: { [WEB]: service(['10.244.1.2:8080', 'fd00:244::2:8080']) },
    }),
  )
  const proxy = lab.startProxy({ workers, relay: 'native' })
  await proxy.until('serving', ({ state }) => state === 'serving')
  return { lab, proxy }
}

/** What the DNAT mechanism does to a steered connection. */
async function translate(lab: ProxyLab, ip: string): Promise<void> {
  const [program, to] = ip.includes(':')
    ? ['ip6tables-nft', '[fd00:244::2]:15001']
    : ['iptables-nft', '192.168.0.10:15001']
  const rule = `-t nat -A OUTPUT -p tcp -d ${ip} --dport 80 -j DNAT --to-destination ${to}`
  await lab.namespace.exec(program, ...rule.split(' '))
}

function dial(lab: ProxyLab) {
  return lab.ask({ kind: 'dial', ip: '10.96.0.10', port: 80, send: 'hi' })
}

async function shares(proxy: ProxyProcess): Promise<readonly [number, number]> {
  const { workers } = await proxy.status()
  return [workers[0]?.connections ?? 0, workers[1]?.connections ?? 0]
}

function accepted({ workers }: ProxyStatus, worker: number): number {
  return workers[worker]?.accepted ?? 0
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
