// Endpoints that misbehave, through the real proxy: what the client sees, and what the operator is told.

import test, { type ExecutionContext } from 'ava'

import type { Json } from '../conformance/objects.ts'
import type { ConnsResult } from '../support/load/load.ts'
import { BAD_POD, GOOD_POD, RelayStage, type Endpoint, type Relay, type RelayService } from './relay-stage.ts'

interface Row {
  readonly it: string
  readonly endpoints: readonly Endpoint[]
  readonly count: number
  /** What the client sees of all its connections. */
  readonly client: 'answered' | Failure
  /** Metrics that must have counted at least so much; `{service}` is filled in. */
  readonly counted: readonly (readonly [
    name: string,
    labels: Readonly<Record<string, string>>,
    atLeast: number,
  ])[]
}

interface Failure {
  /** One of these for each connection, in whatever phase it met it. */
  readonly codes: readonly string[]
  readonly afterMs?: number
  readonly withinMs: number
}

const good: Endpoint = { pod: GOOD_POD, behaviour: 'answer' }
const bad = (behaviour: string): Endpoint => ({ pod: BAD_POD, behaviour })
const unreachable: Endpoint = { unreachable: true }

const POLICY: { readonly [field: string]: Json } = {
  connect: { attemptTimeout: '300ms', deadline: '1s', backoff: { base: '10ms', max: '50ms' } },
  retryBudget: { percent: 100, minRetryRate: { count: 1000, interval: '1s' } },
  timeouts: { idle: '1500ms', halfClosed: '1500ms', silent: '1500ms' },
}

const attempts = (result: string) => ['shunt_proxy_connect_attempts_total', { result }] as const
const ended = (outcome: string) => ['shunt_proxy_connections_ended_total', { outcome }] as const
const RESET = ['ECONNRESET']
/** The deadline is a second; the rest is for a busy machine. */
const DEADLINE = { codes: RESET, afterMs: 500, withinMs: 4000 } as const

const ROWS: readonly Row[] = [
  {
    it: 'one of two endpoints refuses: every connection reaches the other',
    endpoints: [good, bad('refuse')],
    count: 100,
    client: 'answered',
    counted: [
      [...attempts('ECONNREFUSED'), 20],
      [...ended('closed'), 100],
    ],
  },
  {
    it: 'the only endpoint refuses: tried again until the deadline, then the client is reset',
    endpoints: [bad('refuse')],
    count: 10,
    client: DEADLINE,
    counted: [
      [...attempts('ECONNREFUSED'), 50],
      [...ended('deadline'), 10],
    ],
  },
  {
    it: 'no route leads to one of two endpoints: every connection reaches the other',
    endpoints: [good, unreachable],
    count: 100,
    client: 'answered',
    counted: [
      [...attempts('EHOSTUNREACH'), 20],
      [...ended('closed'), 100],
    ],
  },
  {
    it: 'no route leads to the only endpoint: the client is reset at the deadline',
    endpoints: [unreachable],
    count: 10,
    client: DEADLINE,
    counted: [
      [...attempts('EHOSTUNREACH'), 50],
      [...ended('deadline'), 10],
    ],
  },
  {
    it: 'one of two endpoints is a black hole: its connections reach the other when the attempt has had its time',
    endpoints: [good, bad('black-hole')],
    count: 40,
    client: 'answered',
    counted: [
      [...attempts('ETIMEDOUT'), 5],
      [...ended('closed'), 40],
    ],
  },
  {
    it: 'the only endpoint is a black hole: the client is reset at the deadline',
    endpoints: [bad('black-hole')],
    count: 10,
    client: DEADLINE,
    counted: [
      [...attempts('ETIMEDOUT'), 10],
      [...ended('deadline'), 10],
    ],
  },
  {
    it: 'the endpoint accepts and resets: so does the proxy, and tries no other',
    endpoints: [bad('reset')],
    count: 20,
    client: { codes: RESET, withinMs: 3000 },
    counted: [[...ended('reset-by-endpoint'), 20]],
  },
  {
    it: 'the endpoint resets after some bytes: the reset is passed on',
    endpoints: [bad('reset-after:64')],
    count: 20,
    client: { codes: RESET, withinMs: 3000 },
    counted: [
      [...ended('reset-by-endpoint'), 20],
      ['shunt_proxy_bytes_total', { direction: 'from_client' }, 20 * 64],
    ],
  },
  {
    it: 'the endpoint closes at once: the client reads the end, or the reset that its own bytes met',
    endpoints: [bad('close')],
    count: 20,
    client: { codes: ['EOF', 'ECONNRESET'], withinMs: 3000 },
    counted: [['shunt_proxy_connections_ended_total', {}, 20]],
  },
  {
    it: 'the endpoint closes its half and reads on: the client reads the end, its bytes arrive',
    endpoints: [bad('half-close')],
    count: 20,
    client: { codes: ['EOF'], withinMs: 3000 },
    counted: [[...ended('closed'), 20]],
  },
  {
    it: 'the endpoint accepts late: nobody notices, because its kernel answers',
    endpoints: [bad('slow-accept:5')],
    count: 50,
    client: 'answered',
    counted: [[...ended('closed'), 50]],
  },
  {
    it: 'the endpoint is half open, it neither reads nor sends: the idle limit ends the connection',
    endpoints: [bad('deaf')],
    count: 10,
    client: { codes: RESET, afterMs: 1000, withinMs: 5000 },
    counted: [[...ended('idle'), 10]],
  },
]

const SERVICES: readonly RelayService[] = ROWS.map(({ endpoints }, i) => ({
  name: `row-${i + 1}`,
  number: i + 1,
  endpoints,
  policy: POLICY,
}))

for (const relay of ['native', 'stream'] as const satisfies readonly Relay[]) {
  let stage: RelayStage
  test.before(`a node with the ${relay} relay`, async () => {
    stage = await RelayStage.start({ relay, services: SERVICES })
  })
  test.after.always(`the node with the ${relay} relay goes`, async () => {
    await stage?.stop()
  })
  for (const [i, row] of ROWS.entries()) {
    test.serial(`${relay}: ${row.it}`, async (t) => {
      const service = SERVICES[i] as RelayService
      await check(t, stage, service, row)
    })
  }
}

async function check(t: ExecutionContext, stage: RelayStage, service: RelayService, row: Row): Promise<void> {
  const result = await stage.run('conns', { to: stage.to(service), count: row.count, 'timeout-ms': 5000 })
  judgeClient(t, result, row)
  for (const [name, labels, atLeast] of row.counted) {
    const wanted = { service: `default/${service.name}:tcp/TCP`, ...labels }
    await t.notThrowsAsync(stage.untilMetric(name, wanted, atLeast))
  }
  await stage.untilNoneOpen()
}

function judgeClient(t: ExecutionContext, result: ConnsResult, row: Row): void {
  if (row.client === 'answered') {
    t.deepEqual(result.failedBy, {})
    t.is(result.answered, row.count)
    return
  }
  t.is(result.failed, row.count)
  for (const { startedMs, atMs, code } of result.failures) {
    t.true(row.client.codes.includes(code), code)
    t.true(atMs - startedMs <= row.client.withinMs, `it took ${atMs - startedMs} ms`)
    t.true(atMs - startedMs >= (row.client.afterMs ?? 0), `it took only ${atMs - startedMs} ms`)
  }
}
