import test from 'ava'
import * as fc from 'fast-check'
import { ipBytes, parseIp, type Ip } from '#agent/model/ip.ts'
import { RelayAddresses } from '#agent/kernel/relay-addresses.ts'
import type { RelayConnect } from '#agent/kernel/relay-events.ts'
import { RelayRings, type RingEvents } from '#agent/kernel/relay-rings.ts'
import {
  COMMAND,
  COMMAND_BYTES,
  COMMAND_KIND,
  EVENT,
  EVENT_BYTES,
  EVENT_FLAG,
  EVENT_KIND,
  HEADER_BYTES,
  OUTCOME,
  WORD,
} from '#agent/kernel/relay-layout.ts'

const ip = (text: string): Ip => parseIp(text) ?? ('' as Ip)
const SIZES = { events: 4, commands: 4, slots: 8 }
const CONNECT: RelayConnect = {
  candidates: [
    { ip: ip('10.0.0.1'), port: 80 },
    { ip: ip('fd00::1'), port: 443 },
  ],
  mark: 0x539000,
  attemptTimeoutMs: 2_000,
  deadlineMs: 10_000,
  skipBytes: 28,
  prefix: Buffer.from('first'),
  limits: { idleMs: 86_400_000, halfClosedMs: 3_600_000, silentMs: 7_200_000, lifetimeMs: 2 ** 40 },
}

test('an accepted connection has addresses of both families', (t) => {
  const side = engineSide()
  side.event(EVENT_KIND.accepted, 0x0008_0003, (at, view) => {
    view.setInt32(at + EVENT.fd, 17, true)
    view.setInt32(at + EVENT.flags, EVENT_FLAG.destinationKnown, true)
    side.address(at + EVENT.client, '10.244.1.12')
    side.address(at + EVENT.destination, 'fd00:96::10')
    view.setUint16(at + EVENT.clientPort, 65_535, true)
    view.setUint16(at + EVENT.destinationPort, 80, true)
  })
  side.event(EVENT_KIND.accepted, 4, (at, view) => {
    side.address(at + EVENT.client, '::1')
    view.setUint16(at + EVENT.clientPort, 1, true)
  })
  t.deepEqual(told(side.rings), [
    [
      'accepted',
      0x0008_0003,
      { ip: ip('10.244.1.12'), port: 65_535 },
      { ip: ip('fd00:96::10'), port: 80 },
      17,
    ],
    ['accepted', 4, { ip: ip('::1'), port: 1 }, undefined, 0],
  ])
})

test('an end has large counts, and the legs that there were', (t) => {
  const side = engineSide()
  side.event(EVENT_KIND.ended, 5, (at, view) => {
    view.setInt32(at + EVENT.flags, EVENT_FLAG.hasEndpointLeg, true)
    view.setFloat64(at + EVENT.durationUs, 5e9, true)
    view.setFloat64(at + EVENT.fromClient, 2 ** 45 + 1, true)
    view.setFloat64(at + EVENT.fromEndpoint, 7, true)
    view.setInt32(at + EVENT.outcome, OUTCOME['idle-half-closed'], true)
    for (const [i, value] of [0xffff_ffff, 2, 3, 4].entries())
      view.setUint32(at + EVENT.endpointLeg + i * 4, value, true)
  })
  t.deepEqual(told(side.rings), [
    [
      'ended',
      5,
      {
        outcome: 'idle-half-closed',
        bytes: { fromClient: 2 ** 45 + 1, fromEndpoint: 7 },
        durationUs: 5e9,
        client: undefined,
        endpoint: { rttUs: 0xffff_ffff, rttVarianceUs: 2, retransmits: 3, lost: 4 },
      },
    ],
  ])
})

test('the other events, each with what belongs to it', (t) => {
  const side = engineSide()
  side.event(EVENT_KIND.readable, 1, (at, view) => {
    view.setInt32(at + EVENT.waiting, 300, true)
    view.setInt32(at + EVENT.flags, EVENT_FLAG.over, true)
  })
  side.event(EVENT_KIND.attemptFailed, 1, (at, view) => {
    view.setInt32(at + EVENT.error, 111, true)
    view.setInt32(at + EVENT.index, 2, true)
    view.setFloat64(at + EVENT.durationUs, 12, true)
  })
  side.event(EVENT_KIND.connected, 1, (at, view) => view.setInt32(at + EVENT.index, 3, true))
  side.event(EVENT_KIND.exhausted, 1, () => {})
  t.deepEqual(told(side.rings), [
    ['readable', 1, 300, true],
    ['attemptFailed', 1, 2, 'ECONNREFUSED', 12],
    ['connected', 1, 3, 0],
    ['exhausted', 1],
  ])
  side.event(EVENT_KIND.handedOver, 1, (at, view) => view.setInt32(at + EVENT.fd, 9, true))
  side.event(EVENT_KIND.acceptFailed, 0, (at, view) => {
    view.setInt32(at + EVENT.error, 28, true)
    view.setInt32(at + EVENT.index, 40, true)
  })
  side.event(EVENT_KIND.listenerRemoved, 0, (at, view) => view.setInt32(at + EVENT.fd, 5, true))
  t.deepEqual(told(side.rings), [
    ['handedOver', 1, 9],
    ['acceptFailed', 'ENOSPC', 40],
    ['listenerRemoved', 5],
  ])
})

test('events are read once, in order, around the ring and around 2^32', (t) => {
  const side = engineSide()
  for (let i = 0; i < 400; i++) {
    side.event(EVENT_KIND.exhausted, i, () => {})
    if (i % 3 === 0) side.event(EVENT_KIND.connected, i, () => {})
    const names = told(side.rings).map(([name]) => name)
    t.deepEqual(names, i % 3 === 0 ? ['exhausted', 'connected'] : ['exhausted'])
    t.is(side.word(WORD.eventTail), side.word(WORD.eventHead))
  }
  t.true(side.word(WORD.eventHead) < 1_000)
})

test('looking says that JavaScript is awake before it reads', (t) => {
  const side = engineSide()
  side.setWord(WORD.woken, 1)
  t.deepEqual(told(side.rings), [])
  t.is(side.word(WORD.woken), 0)
})

test('an exception of a listener takes away no other event', (t) => {
  const side = engineSide()
  for (const id of [1, 2, 3]) side.event(EVENT_KIND.exhausted, id, () => {})
  const seen: number[] = []
  const error = t.throws(() =>
    side.rings.drain({
      ...recorder([]),
      exhausted: (connection) => {
        seen.push(connection)
        if (connection < 3) throw new Error(`about ${connection}`)
      },
    }),
  )
  t.deepEqual(seen, [1, 2, 3])
  t.is((error as AggregateError).errors.length, 2)
  t.deepEqual(told(side.rings), [])
})

test('a connect command has everything in its place', (t) => {
  const side = engineSide()
  t.true(side.rings.connect(7, CONNECT))
  const { view, at } = side.command(0)
  const number = (offset: number): number => view.getUint32(at + offset, true)
  t.is(number(COMMAND.kind), COMMAND_KIND.connect)
  t.is(number(COMMAND.connection), 7)
  t.is(number(COMMAND.mark), 0x539000)
  t.is(number(COMMAND.attemptTimeoutMs), 2_000)
  t.is(number(COMMAND.deadlineMs), 10_000)
  t.is(number(COMMAND.skipBytes), 28)
  t.is(number(COMMAND.idleMs), 86_400_000)
  // A longer time than the record can hold is the longest.
  t.is(number(COMMAND.lifetimeMs), 0xffff_ffff)
  t.is(view.getUint8(at + COMMAND.candidateCount), 2)
  t.deepEqual(side.bytes(at + COMMAND.candidates, 16), [...mapped('10.0.0.1')])
  t.is(view.getUint16(at + COMMAND.candidates + 16, true), 80)
  t.deepEqual(side.bytes(at + COMMAND.candidates + 20, 16), [...mapped('fd00::1')])
  t.is(view.getUint16(at + COMMAND.candidates + 36, true), 443)
  t.is(view.getUint8(at + COMMAND.prefixLength), 5)
  t.is(Buffer.from(side.bytes(at + COMMAND.prefix, 5)).toString(), 'first')
  t.is(side.word(WORD.commandHead), side.word(WORD.commandTail) + 1)
})

test('a record that was used before keeps nothing of it', (t) => {
  const side = engineSide()
  for (let i = 0; i < SIZES.commands; i++) side.rings.connect(7, CONNECT)
  side.takeCommands()
  side.rings.connect(8, { ...CONNECT, candidates: CONNECT.candidates.slice(0, 1), prefix: new Uint8Array(0) })
  const { view, at } = side.command(0)
  t.is(view.getUint8(at + COMMAND.candidateCount), 1)
  t.is(view.getUint8(at + COMMAND.prefixLength), 0)
})

test('a full ring takes nothing until the engine has read', (t) => {
  const side = engineSide()
  for (let i = 0; i < SIZES.commands; i++) t.true(side.rings.verdict('refuse', i))
  t.false(side.rings.verdict('refuse', 99))
  t.false(side.rings.connect(99, CONNECT))
  t.false(side.rings.peek(99, 1, 1))
  t.false(side.rings.listener('addListener', 1))
  side.takeCommands()
  t.true(side.rings.listener('removeListener', 6))
  const { view, at } = side.command(0)
  t.is(view.getInt32(at + COMMAND.kind, true), COMMAND_KIND.removeListener)
  t.is(view.getInt32(at + COMMAND.fd, true), 6)
})

test('commands go around the ring and around 2^32', (t) => {
  const side = engineSide()
  for (let i = 0; i < 400; i++) {
    t.true(side.rings.verdict('abort', i))
    const { view, at } = side.command(i % SIZES.commands)
    t.is(view.getUint32(at + COMMAND.connection, true), i)
    side.takeCommands()
  }
  t.true(side.word(WORD.commandHead) < 1_000)
})

test('the engine is woken only while it sleeps, and once', (t) => {
  const side = engineSide()
  t.false(side.rings.mustWake())
  side.setWord(WORD.sleeps, 1)
  t.true(side.rings.mustWake())
  t.false(side.rings.mustWake())
})

test('addresses survive, whatever they are, also when more come than are remembered', (t) => {
  const memory = new ArrayBuffer(64)
  const addresses = new RelayAddresses(memory)
  const anyAddress = fc.oneof(
    fc.ipV4().map(ip),
    fc.ipV6().map(ip),
    // Few enough to come again.
    fc.nat(3).map((n) => ip(`10.0.0.${n}`)),
  )
  fc.assert(
    fc.property(anyAddress, (address) => {
      addresses.write(16, address)
      t.deepEqual([...new Uint8Array(memory, 16, 16)], [...mapped(address)])
      t.is(addresses.read(16), address)
    }),
    { numRuns: 10_000 },
  )
})

type Told = readonly [string, ...unknown[]]

function told(rings: RelayRings): Told[] {
  const all: Told[] = []
  rings.drain(recorder(all))
  return all
}

function recorder(all: Told[]): RingEvents {
  const record =
    (name: string) =>
    (...values: unknown[]): void =>
      void all.push([name, ...values])
  return {
    accepted: record('accepted'),
    readable: record('readable'),
    attemptFailed: record('attemptFailed'),
    connected: record('connected'),
    exhausted: record('exhausted'),
    handedOver: record('handedOver'),
    ended: record('ended'),
    acceptFailed: record('acceptFailed'),
    listenerRemoved: record('listenerRemoved'),
  }
}

function mapped(text: string): Uint8Array {
  const bytes = ipBytes(ip(text))
  return bytes.length === 16 ? bytes : Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes])
}

interface EngineSide {
  readonly rings: RelayRings
  event(kind: number, connection: number, fill: (at: number, view: DataView) => void): void
  address(at: number, text: string): void
  command(index: number): { readonly view: DataView; readonly at: number }
  takeCommands(): void
  bytes(at: number, length: number): number[]
  word(index: number): number
  setWord(index: number, value: number): void
}

/** What the engine does on its side of the memory. */
function engineSide(): EngineSide {
  const rings = new RelayRings(SIZES)
  const view = new DataView(rings.memory)
  const word = (index: number): number => view.getUint32(index * 4, true)
  const setWord = (index: number, value: number): void => view.setUint32(index * 4, value >>> 0, true)
  return {
    rings,
    event(kind, connection, fill) {
      const head = word(WORD.eventHead)
      const at = HEADER_BYTES + (head & (SIZES.events - 1)) * EVENT_BYTES
      new Uint8Array(rings.memory, at, EVENT_BYTES).fill(0)
      view.setUint32(at + EVENT.kind, kind, true)
      view.setUint32(at + EVENT.connection, connection, true)
      fill(at, view)
      setWord(WORD.eventHead, head + 1)
    },
    address: (at, text) => new Uint8Array(rings.memory).set(mapped(text), at),
    command: (index) => ({
      view,
      at: HEADER_BYTES + SIZES.events * EVENT_BYTES + index * COMMAND_BYTES,
    }),
    takeCommands: () => setWord(WORD.commandTail, word(WORD.commandHead)),
    bytes: (at, length) => [...new Uint8Array(rings.memory, at, length)],
    word,
    setWord,
  }
}
