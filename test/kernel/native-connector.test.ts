// The JavaScript half of the connector, on an addon that answers as the test says.

import test from 'ava'

import { openConnector } from '#agent/kernel/native-connector.ts'
import type { RawAddon } from '#agent/kernel/native-raw.ts'
import type { Ip } from '#agent/model/ip.ts'

const TO = { ip: '10.0.0.1' as Ip, port: 80 }
const [ECONNREFUSED, ECANCELED] = [111, 125]

test('results reach the promise of their connection, in any order', async (t) => {
  const addon = fakeAddon()
  const connector = openConnector(addon.raw)
  const [first, second] = [connector.connect(TO), connector.connect(TO)]
  addon.report([2, 7, 0, 1, -1, ECONNREFUSED])
  t.deepEqual(await second.result, { kind: 'connected', fd: 7 })
  t.deepEqual(await first.result, { kind: 'failed', errno: ECONNREFUSED, code: 'ECONNREFUSED' })
})

test('closing ends what is pending, and a connection that arrives afterwards is closed', async (t) => {
  const addon = fakeAddon()
  const connector = openConnector(addon.raw)
  const pending = connector.connect(TO)
  connector.close()
  connector.close()
  t.deepEqual(await pending.result, { kind: 'failed', errno: ECANCELED, code: 'ECANCELED' })
  addon.report([1, 9, 0])
  t.deepEqual(addon.closed, [9])
  t.is(addon.connectorsClosed(), 1)
  t.throws(() => connector.connect(TO), { message: 'the connector is closed' })
})

test('cancelling asks the addon once it still can', (t) => {
  const addon = fakeAddon()
  const connector = openConnector(addon.raw)
  const pending = connector.connect(TO)
  pending.cancel()
  addon.report([1, -1, ECANCELED])
  pending.cancel()
  t.deepEqual(addon.cancelled, [1])
})

for (const [what, options] of Object.entries({
  'port 0': { ...TO, port: 0 },
  'a port that is no integer': { ...TO, port: 80.5 },
  'a negative mark': { ...TO, mark: -1 },
  'a mark of 33 bits': { ...TO, mark: 2 ** 32 },
  'a deadline of nothing': { ...TO, timeoutMs: 0 },
  'a deadline that is not a number': { ...TO, timeoutMs: Number.NaN },
})) {
  test(`refused before C++ sees it: ${what}`, (t) => {
    const addon = fakeAddon()
    t.throws(() => openConnector(addon.raw).connect(options), { code: 'INTERNAL' })
    t.is(addon.connects(), 0)
  })
}

interface FakeAddon {
  readonly raw: RawAddon
  report(results: readonly number[]): void
  readonly closed: number[]
  readonly cancelled: number[]
  connects(): number
  connectorsClosed(): number
}

function fakeAddon(): FakeAddon {
  let report: (results: Int32Array) => void = () => undefined
  let connects = 0
  let connectorsClosed = 0
  const closed: number[] = []
  const cancelled: number[] = []
  const raw: Partial<RawAddon> = {
    connectorOpen: (call) => {
      report = call
      return 1
    },
    connectorConnect: () => void connects++,
    connectorCancel: (_, id) => void cancelled.push(id),
    connectorClose: () => void connectorsClosed++,
    closeFd: (fd) => void closed.push(fd),
  }
  return {
    raw: raw as RawAddon,
    report: (results) => report(Int32Array.from(results)),
    closed,
    cancelled,
    connects: () => connects,
    connectorsClosed: () => connectorsClosed,
  }
}
