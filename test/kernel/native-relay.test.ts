// The JavaScript half of a relay, on an addon that does what the test says.

import test from 'ava'
import { openRelay, type NativeRelay } from '#agent/kernel/native-relay.ts'
import type { RawAddon } from '#agent/kernel/native-raw.ts'
import type { RelayEvents } from '#agent/kernel/relay-events.ts'
import {
  COMMAND,
  COMMAND_BYTES,
  COMMAND_KIND,
  EVENT,
  EVENT_BYTES,
  EVENT_KIND,
  HEADER_BYTES,
  WORD,
} from '#agent/kernel/relay-layout.ts'

const LIMITS = { idleMs: 1_000, halfClosedMs: 1_000, silentMs: 1_000, lifetimeMs: 2 ** 50 }
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('commands of one turn of JavaScript cost one wake-up, and none while the engine is awake', async (t) => {
  const side = fakeAddon({})
  side.setWord(WORD.sleeps, 1)
  for (let i = 0; i < 5; i++) side.relay.refuse(i)
  t.is(side.wakes(), 0)
  await tick()
  t.is(side.wakes(), 1)
  side.relay.refuse(6)
  await tick()
  t.is(side.wakes(), 1)
  t.is(side.takeCommands().length, 6)
})

test('what a batch of events commands costs one wake-up, at its end', (t) => {
  const side = fakeAddon({ exhausted: (connection) => side.relay.refuse(connection) })
  for (const id of [1, 2, 3]) side.event(EVENT_KIND.exhausted, id)
  side.setWord(WORD.sleeps, 1)
  side.look()
  t.is(side.wakes(), 1)
  t.deepEqual(
    side.takeCommands().map(({ connection }) => connection),
    [1, 2, 3],
  )
})

test('what finds no room is kept in order and written when there is some', async (t) => {
  const side = fakeAddon({})
  for (let i = 0; i < 2_500; i++) side.relay.abort(i)
  const taken: number[] = []
  for (let round = 0; round < 200 && taken.length < 2_500; round++) {
    taken.push(...side.takeCommands().map(({ connection }) => connection))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  t.deepEqual(
    taken,
    taken.map((_, i) => i),
  )
  t.is(taken.length, 2_500)
})

test('a listener that is taken away twice is away for both, and at once when the thread died', async (t) => {
  const side = fakeAddon({})
  const both = [side.relay.removeListener(7), side.relay.removeListener(7)]
  await tick()
  t.deepEqual(
    side.takeCommands().map(({ kind, fd }) => [kind, fd]),
    [
      [COMMAND_KIND.removeListener, 7],
      [COMMAND_KIND.removeListener, 7],
    ],
  )
  side.event(EVENT_KIND.listenerRemoved, 0, 7)
  side.look()
  await Promise.all(both)

  const late = side.relay.removeListener(8)
  side.setWord(WORD.died, 1)
  side.look()
  await late
  await side.relay.removeListener(9)
  t.true(side.relay.died())
})

test('a peek is at the socket of who has the slot now', (t) => {
  const side = fakeAddon({})
  side.event(EVENT_KIND.accepted, 3, 20)
  side.look()
  t.is(side.relay.peek(3, 10).length, 10)
  t.deepEqual(side.peeked, [20])
  // The same slot in another life.
  t.is(side.relay.peek(3 + 2 ** 19, 10).length, 0)
  side.event(EVENT_KIND.ended, 3)
  side.look()
  t.is(side.relay.peek(3, 10).length, 0)
  t.deepEqual(side.peeked, [20])
})

test('adopted connections have ids of their own, and their slot is learnt from the engine', (t) => {
  const told: number[] = []
  const side = fakeAddon({ connected: (connection) => told.push(connection) })
  const first = side.relay.adopt(5, 6, LIMITS, new Uint8Array(0), new Uint8Array(0))
  const second = side.relay.adopt(7, 8, LIMITS, new Uint8Array(0), new Uint8Array(0))
  t.not(first, second)
  t.true(first > 2 ** 30 && first < 2 ** 31)
  t.deepEqual(side.relay.bytes(first), { fromClient: 0, fromEndpoint: 0 })
  side.event(EVENT_KIND.connected, first, 0, 2)
  side.bytes(2, 10, 20)
  side.look()
  t.deepEqual(side.relay.bytes(first), { fromClient: 10, fromEndpoint: 20 })
  t.deepEqual(side.relay.bytes(second), { fromClient: 0, fromEndpoint: 0 })
  // Whoever adopted it knew that it is connected.
  t.deepEqual(told, [])
  t.deepEqual(side.adopted[0]?.slice(2, 8), [5, 6, 1_000, 1_000, 1_000, 0xffff_ffff])
})

test('a socket that was handed over and not heard of is closed with the relay; nothing else is told', (t) => {
  let told = 0
  const side = fakeAddon({ handedOver: () => told++, ended: () => told++ })
  side.event(EVENT_KIND.handedOver, 1, 33)
  side.event(EVENT_KIND.ended, 2)
  side.relay.close()
  side.relay.close()
  side.look()
  t.deepEqual(side.closed, [33])
  t.is(told, 0)
})

interface Side {
  readonly relay: NativeRelay
  readonly closed: number[]
  readonly peeked: number[]
  readonly adopted: unknown[][]
  wakes(): number
  event(kind: number, connection: number, fd?: number, index?: number): void
  bytes(slot: number, fromClient: number, fromEndpoint: number): void
  /** As the engine calls after it has written. */
  look(): void
  takeCommands(): { readonly kind: number; readonly connection: number; readonly fd: number }[]
  setWord(word: number, value: number): void
}

function fakeAddon(events: Partial<RelayEvents>): Side {
  let memory = new ArrayBuffer(0)
  let onEvents: () => void = () => {}
  let wakes = 0
  const closed: number[] = []
  const peeked: number[] = []
  const adopted: unknown[][] = []
  const raw: Partial<RawAddon> = {
    relayOpen: (shared, call) => {
      memory = shared
      onEvents = call
      return 1
    },
    relayWake: () => void wakes++,
    relayClose: () => {},
    relayPeek: (fd, buffer) => {
      peeked.push(fd)
      return buffer.length
    },
    relayAdopt: (...values) => void adopted.push(values),
    closeFd: (fd) => void closed.push(fd),
  }
  const nothing = (): void => {}
  const relay = openRelay(raw as RawAddon, {
    connections: 8,
    events: {
      accepted: nothing,
      readable: nothing,
      attemptFailed: nothing,
      connected: nothing,
      exhausted: nothing,
      handedOver: nothing,
      ended: nothing,
      acceptFailed: nothing,
      ...events,
    },
  })
  const view = new DataView(memory)
  const word = (index: number): number => view.getInt32(index * 4, true)
  const setWord = (index: number, value: number): void => view.setInt32(index * 4, value, true)
  const commandsAt = HEADER_BYTES + word(WORD.eventCapacity) * EVENT_BYTES
  const slotsAt = commandsAt + word(WORD.commandCapacity) * COMMAND_BYTES
  return {
    relay,
    closed,
    peeked,
    adopted,
    wakes: () => wakes,
    setWord,
    look: () => onEvents(),
    event(kind, connection, fd = 0, index = 0) {
      const head = word(WORD.eventHead)
      const at = HEADER_BYTES + (head & (word(WORD.eventCapacity) - 1)) * EVENT_BYTES
      new Uint8Array(memory, at, EVENT_BYTES).fill(0)
      view.setInt32(at + EVENT.kind, kind, true)
      view.setInt32(at + EVENT.connection, connection, true)
      view.setInt32(at + EVENT.fd, fd, true)
      view.setInt32(at + EVENT.index, index, true)
      setWord(WORD.eventHead, head + 1)
    },
    bytes(slot, fromClient, fromEndpoint) {
      view.setFloat64(slotsAt + slot * 16, fromClient, true)
      view.setFloat64(slotsAt + slot * 16 + 8, fromEndpoint, true)
    },
    takeCommands() {
      const taken: { kind: number; connection: number; fd: number }[] = []
      for (; word(WORD.commandTail) !== word(WORD.commandHead);) {
        const tail = word(WORD.commandTail)
        const at = commandsAt + (tail & (word(WORD.commandCapacity) - 1)) * COMMAND_BYTES
        taken.push({
          kind: view.getInt32(at + COMMAND.kind, true),
          connection: view.getInt32(at + COMMAND.connection, true),
          fd: view.getInt32(at + COMMAND.fd, true),
        })
        setWord(WORD.commandTail, (tail + 1) | 0)
      }
      return taken
    },
  }
}
