// What the kernel has no more of: source ports, descriptors, pipes. The proxy does with less, says so, and is itself again
// when there is more. (A worker that dies or stands still: test/packet/workers.test.ts.)

import test, { type ExecutionContext } from 'ava'

import { until } from '../support/lab/wait.ts'
import { CLIENT_POD, GOOD_POD, NODE, RelayStage, type RelayService } from './relay-stage.ts'

/** Not the default, so that its pipes are counted apart from those of other proxies of this machine. */
const UID = '15077'
const AS_USER = ['/usr/bin/setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--']

const WEB: RelayService = {
  name: 'web',
  number: 1,
  endpoints: [{ pod: GOOD_POD, behaviour: 'answer' }],
  policy: { connect: { attemptTimeout: '500ms', deadline: '1s' } },
}

let stage: RelayStage

test.before(async () => {
  stage = await RelayStage.start({ relay: 'native', services: [WEB], flags: ['--proxy-uid', UID] })
})
test.after.always(async () => {
  await stage?.stop()
})

test.serial(
  'no source port is left: new connections are reset, those that stand live, then all is well',
  async (t) => {
    const before = await portRange()
    await setPortRange('40000 40009')
    const held = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 10 })
    const during = await stage.run('conns', { to: stage.to(WEB), count: 20 })
    t.is(during.answered, 0)
    t.deepEqual(during.failedBy, { 'answer ECONNRESET': 20 })
    await stage.untilMetric('shunt_proxy_connect_attempts_total', { result: 'EADDRNOTAVAIL' }, 20)
    t.true((await counted('port_shortages')) >= 20)
    t.regex(stage.proxy.log(), /no source port is left for an endpoint/)
    await setPortRange(before)
    await answersAll(t)
    const { whole, stillWhole } = await held.end()
    t.deepEqual([whole, stillWhole], [10, 10])
  },
)

test.serial(
  'connections whose clients close first do not use the ports up: each is taken again after a second',
  async (t) => {
    const before = await portRange()
    await setPortRange('40000 41999')
    const seen = await stage.run('conns', { to: stage.to(WEB), rate: 500, seconds: 10 })
    await setPortRange(before)
    t.deepEqual([seen.failed, seen.failedBy], [0, {}])
    t.true(seen.answered > 4_000, `${seen.answered} connections over 2,000 ports`)
  },
)

test.serial(
  'no descriptor is left: clients wait, what is open lives, and it goes on when there are more',
  async (t) => {
    const open = [...stage.descriptors().values()].reduce((sum, count) => sum + count, 0)
    const held = await stage.load(CLIENT_POD, 'idle', { to: stage.to(WEB), count: 5 })
    await limitDescriptors(open + 10 + 6)
    const waiting = await stage.load(CLIENT_POD, 'conns', {
      to: stage.to(WEB),
      count: 60,
      concurrency: 60,
      exchanges: 3,
      'timeout-ms': 15_000,
    })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await limitDescriptors(20_000)
    const result = await waiting.result
    t.is(result.answered + result.failed, 60)
    // Those that were accepted and got no second descriptor before their deadline are reset; nobody is left to wait.
    for (const { code } of result.failures) t.is(code, 'ECONNRESET')
    t.true(result.answered > 0)
    t.true((await counted('descriptor_shortages')) > 0)
    t.regex(stage.proxy.log(), /no more descriptors/)
    const { whole, stillWhole } = await held.end()
    t.deepEqual([whole, stillWhole], [5, 5])
    await answersAll(t)
  },
)

test.serial(
  'the pipes of the user are all taken: bytes are copied, and spliced again when there are some',
  async (t) => {
    const taken = await stage.load(CLIENT_POD, 'pipes', {}, AS_USER)
    const [copiedBefore, splicedBefore] = [await counted('copied_bytes'), await counted('spliced_bytes')]
    await transfersAll(t)
    await stage.untilMetric(
      'shunt_proxy_worker_counts_total',
      { what: 'copied_bytes' },
      copiedBefore + STREAMS * (UP + DOWN),
    )
    t.is(await counted('spliced_bytes'), splicedBefore)
    t.true((await counted('pipe_shortages')) > 0)
    await until('the log says it', () => stage.proxy.log().includes('no more pipes'))
    const { pipes } = await taken.end()
    t.true(pipes > 100, `${pipes} pipes were enough`)
    await transfersAll(t)
    t.true((await counted('spliced_bytes')) - splicedBefore > (STREAMS * (UP + DOWN)) / 2)
  },
)

const STREAMS = 4
const UP = 20e6
const DOWN = 10e6

async function transfersAll(t: ExecutionContext): Promise<void> {
  const result = await stage.run('bulk', { to: stage.to(WEB), streams: STREAMS, up: UP, down: DOWN })
  t.deepEqual([result.complete, result.problem], [STREAMS, ''])
}

async function answersAll(t: ExecutionContext): Promise<void> {
  const { answered, failedBy } = await stage.run('conns', { to: stage.to(WEB), count: 200 })
  t.deepEqual([answered, failedBy], [200, {}])
}

function counted(what: string): Promise<number> {
  return stage.metric('shunt_proxy_worker_counts_total', { what })
}

async function limitDescriptors(count: number): Promise<void> {
  // The soft limit alone, because the hard one could not be raised again; as its own user, who may.
  const limit = ['/usr/bin/prlimit', '--pid', String(stage.proxy.pid), `--nofile=${count}:`]
  await stage.lab.exec(NODE, [...AS_USER, ...limit])
}

async function portRange(): Promise<string> {
  const { stdout } = await stage.lab.exec(NODE, ['/usr/sbin/sysctl', '-n', 'net.ipv4.ip_local_port_range'])
  return stdout.trim()
}

async function setPortRange(range: string): Promise<void> {
  await stage.lab.exec(NODE, ['/usr/sbin/sysctl', '-q', '-w', `net.ipv4.ip_local_port_range=${range}`])
}
