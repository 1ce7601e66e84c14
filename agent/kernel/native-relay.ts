// One relay engine of the addon: commands to its thread, events from it. Each side wakes the other only when it sleeps;
// a batch of events, and all that was commanded meanwhile, costs one wake-up at most.

import { isPort } from '../model/port.ts'
import { ShuntError } from '../model/errors.ts'
import type { RelayTimeouts } from '../model/connection-policy.ts'
import type { RawAddon } from './native-raw.ts'
import { natural } from './native-sockets.ts'
import type { Fd } from './native-types.ts'
import type { RelayConnect, RelayCounters, RelayEvents } from './relay-events.ts'
import { ADOPTED_BIT, MAX_CANDIDATES, MAX_PREFIX_BYTES, SLOT_BITS } from './relay-layout.ts'
import { RelayRings, type RingEvents } from './relay-rings.ts'
import { kernelCall } from './system-error.ts'

export interface RelayOptions {
  /** At once, at most; more are reset and told as ENOSPC. */
  readonly connections: number
  readonly events: RelayEvents
}

/** Events come later, never from within a call. News for a connection that has ended is ignored. */
export interface NativeRelay {
  addListener(fd: Fd): void
  /** Resolves when it accepts no more, also if its thread ends. */
  removeListener(fd: Fd): Promise<void>
  connect(connection: number, options: RelayConnect): void
  awaitBytes(connection: number, atLeastBytes: number, timeoutMs: number): void
  /** What waits of the client's bytes, at most so many; only until the next verdict. */
  peek(connection: number, maxBytes: number): Uint8Array
  handOver(connection: number): void
  refuse(connection: number): void
  abort(connection: number): void
  /** Takes both descriptors. The bytes are written first, and are no payload of this connection. */
  adopt(client: Fd, endpoint: Fd, limits: RelayTimeouts, toEndpoint: Uint8Array, toClient: Uint8Array): number
  bytes(connection: number): { readonly fromClient: number; readonly fromEndpoint: number }
  /** Counts the rounds of its loop, at least ten a second; only good for comparing. */
  turns(): number
  /** Its thread ended by a defect. */
  died(): boolean
  counters(): RelayCounters
  /** For tests of what watches it: sleeps for so long, or dies. */
  fault(kind: 'stall' | 'die', durationMs: number): void
  /** Resets every connection, joins the thread. */
  close(): void
}

export function openRelay(raw: RawAddon, options: RelayOptions): NativeRelay {
  return new Relay(raw, options)
}

/** A quarter of a megabyte and half of one. When they are full, both sides keep what they have to say. */
const EVENTS = 4_096
const COMMANDS = 1_024
/** When the ring is full, the engine empties it at once. */
const RETRY_MS = 1
const MAX_SLOTS = 2 ** SLOT_BITS
const SLOT_MASK = MAX_SLOTS - 1
const NOBODY = -1

class Relay implements NativeRelay {
  readonly #raw: RawAddon
  readonly #rings: RelayRings
  readonly #handle: number
  readonly #sink: RingEvents
  /** By slot: who has it, and its client's socket. */
  readonly #ids: Int32Array
  readonly #fds: Int32Array
  /** Slots of adopted connections. */
  readonly #adopted = new Map<number, number>()
  readonly #removals = new Map<Fd, (() => void)[]>()
  /** Commands that found no room; each says whether it has now. */
  #kept: (() => boolean)[] = []
  #lastAdopted = 0
  #inBatch = false
  #flushes = false
  #retry: NodeJS.Timeout | undefined
  #open = true

  constructor(raw: RawAddon, { connections, events }: RelayOptions) {
    const slots = Math.min(natural(connections, 'connections'), MAX_SLOTS)
    this.#raw = raw
    this.#rings = new RelayRings({ events: EVENTS, commands: COMMANDS, slots })
    this.#ids = new Int32Array(slots).fill(NOBODY)
    this.#fds = new Int32Array(slots)
    this.#sink = this.#sinkOf(events)
    this.#handle = kernelCall('start a relay engine', () =>
      raw.relayOpen(this.#rings.memory, () => this.#onEvents()),
    )
  }

  addListener(fd: Fd): void {
    natural(fd, 'fd')
    this.#command(() => this.#rings.listener('addListener', fd))
  }

  removeListener(fd: Fd): Promise<void> {
    natural(fd, 'fd')
    if (!this.#open || this.#rings.died()) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#removals.set(fd, [...(this.#removals.get(fd) ?? []), resolve])
    this.#command(() => this.#rings.listener('removeListener', fd))
    return promise
  }

  connect(connection: number, options: RelayConnect): void {
    check(options)
    if (this.#kept.length === 0 && this.#rings.connect(connection, options)) this.#written()
    else this.#keep(() => this.#rings.connect(connection, options))
  }

  awaitBytes(connection: number, atLeastBytes: number, timeoutMs: number): void {
    natural(atLeastBytes, 'atLeastBytes')
    this.#command(() => this.#rings.peek(connection, atLeastBytes, timeoutMs))
  }

  peek(connection: number, maxBytes: number): Uint8Array {
    const slot = this.#slotOf(connection)
    if (slot === undefined || !this.#open) return new Uint8Array(0)
    const buffer = new Uint8Array(natural(maxBytes, 'maxBytes'))
    const read = kernelCall('peek at a connection', () => this.#raw.relayPeek(this.#fds[slot] ?? -1, buffer))
    return buffer.subarray(0, read)
  }

  handOver(connection: number): void {
    this.#verdict('handOver', connection)
  }

  refuse(connection: number): void {
    this.#verdict('refuse', connection)
  }

  abort(connection: number): void {
    this.#verdict('abort', connection)
  }

  adopt(
    client: Fd,
    endpoint: Fd,
    limits: RelayTimeouts,
    toEndpoint: Uint8Array,
    toClient: Uint8Array,
  ): number {
    do this.#lastAdopted = (this.#lastAdopted + 1) & (ADOPTED_BIT - 1)
    while (this.#adopted.has(ADOPTED_BIT | this.#lastAdopted))
    const connection = ADOPTED_BIT | this.#lastAdopted
    const { idleMs, halfClosedMs, silentMs, lifetimeMs } = limits
    const [idle, halfClosed, silent, lifetime] = [idleMs, halfClosedMs, silentMs, lifetimeMs].map(fitting)
    kernelCall('let the relay adopt a connection', () =>
      this.#raw.relayAdopt(
        this.#handle,
        connection,
        natural(client, 'client'),
        natural(endpoint, 'endpoint'),
        idle ?? 0,
        halfClosed ?? 0,
        silent ?? 0,
        lifetime ?? 0,
        toEndpoint,
        toClient,
      ),
    )
    this.#adopted.set(connection, NOBODY)
    return connection
  }

  bytes(connection: number): { readonly fromClient: number; readonly fromEndpoint: number } {
    const slot = this.#adopted.get(connection) ?? this.#slotOf(connection)
    if (slot === undefined || slot === NOBODY) return { fromClient: 0, fromEndpoint: 0 }
    return {
      fromClient: this.#rings.fromClientBytes(slot),
      fromEndpoint: this.#rings.fromEndpointBytes(slot),
    }
  }

  turns(): number {
    return this.#rings.turns()
  }

  died(): boolean {
    return this.#rings.died()
  }

  counters(): RelayCounters {
    return this.#rings.counters()
  }

  fault(kind: 'stall' | 'die', durationMs: number): void {
    this.#command(() => this.#rings.fault(kind, durationMs))
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    clearTimeout(this.#retry)
    this.#raw.relayClose(this.#handle)
    this.#kept = []
    // A socket that was handed over and whose news nobody will hear is nobody's but ours.
    this.#rings.drain({ ...DEAF, handedOver: (_, fd) => this.#raw.closeFd(fd) })
    this.#resolveRemovals()
  }

  #onEvents(): void {
    if (!this.#open) return
    this.#inBatch = true
    try {
      this.#rings.drain(this.#sink)
    } finally {
      this.#inBatch = false
      this.#flush()
      if (this.#rings.died()) this.#resolveRemovals()
    }
  }

  #sinkOf(events: RelayEvents): RingEvents {
    return {
      accepted: (connection, client, destination, fd) => {
        const slot = connection & SLOT_MASK
        this.#ids[slot] = connection
        this.#fds[slot] = fd
        events.accepted(connection, client, destination, fd)
      },
      readable: (connection, waiting, over) => events.readable(connection, waiting, over),
      attemptFailed: (connection, index, code, durationUs) =>
        events.attemptFailed(connection, index, code, durationUs),
      connected: (connection, index, durationUs) => {
        if ((connection & ADOPTED_BIT) === 0) return events.connected(connection, index, durationUs)
        // The engine tells where it counts the bytes; that it is connected everybody knew.
        this.#adopted.set(connection, index)
      },
      exhausted: (connection) => events.exhausted(connection),
      handedOver: (connection, fd) => {
        this.#forget(connection)
        events.handedOver(connection, fd)
      },
      ended: (connection, end) => {
        this.#forget(connection)
        events.ended(connection, end)
      },
      acceptFailed: (code, times) => events.acceptFailed(code, times),
      listenerRemoved: (fd) => {
        for (const resolve of this.#removals.get(fd) ?? []) resolve()
        this.#removals.delete(fd)
      },
    }
  }

  #forget(connection: number): void {
    if ((connection & ADOPTED_BIT) !== 0) this.#adopted.delete(connection)
    else this.#ids[connection & SLOT_MASK] = NOBODY
  }

  #slotOf(connection: number): number | undefined {
    const slot = connection & SLOT_MASK
    return this.#ids[slot] === connection ? slot : undefined
  }

  #verdict(kind: 'handOver' | 'refuse' | 'abort', connection: number): void {
    if (this.#kept.length === 0 && this.#rings.verdict(kind, connection)) this.#written()
    else this.#keep(() => this.#rings.verdict(kind, connection))
  }

  #command(write: () => boolean): void {
    if (this.#kept.length === 0 && write()) this.#written()
    else this.#keep(write)
  }

  #keep(write: () => boolean): void {
    if (!this.#open) return
    this.#kept.push(write)
    this.#written()
  }

  /** Outside of a batch the wake-up waits for what else is commanded in this turn of JavaScript's. */
  #written(): void {
    if (this.#inBatch || this.#flushes) return
    this.#flushes = true
    queueMicrotask(() => {
      this.#flushes = false
      this.#flush()
    })
  }

  #flush(): void {
    if (!this.#open) return
    // Nobody reads them any more.
    if (this.#rings.died()) this.#kept = []
    let written = 0
    while (written < this.#kept.length && this.#kept[written]?.() === true) written++
    if (written > 0) this.#kept.splice(0, written)
    if (this.#rings.mustWake()) this.#raw.relayWake(this.#handle)
    if (this.#kept.length === 0) return
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#flush(), RETRY_MS)
  }

  #resolveRemovals(): void {
    for (const waiting of this.#removals.values()) for (const resolve of waiting) resolve()
    this.#removals.clear()
  }
}

const DEAF: RingEvents = {
  accepted: () => {},
  readable: () => {},
  attemptFailed: () => {},
  connected: () => {},
  exhausted: () => {},
  handedOver: () => {},
  ended: () => {},
  acceptFailed: () => {},
  listenerRemoved: () => {},
}

function check({ candidates, mark, skipBytes, prefix }: RelayConnect): void {
  if (candidates.length === 0 || candidates.length > MAX_CANDIDATES)
    throw new ShuntError('INTERNAL', `a connection must have 1 to ${MAX_CANDIDATES} candidates`)
  if (!candidates.every(({ port }) => isPort(port)))
    throw new ShuntError('INTERNAL', 'the port of a candidate must be 1 to 65535')
  if (prefix !== undefined && prefix.length > MAX_PREFIX_BYTES)
    throw new ShuntError('INTERNAL', `the prefix of a connection must have at most ${MAX_PREFIX_BYTES} bytes`)
  natural(mark, 'mark')
  natural(skipBytes, 'skipBytes')
}

/** 49 days at most. */
function fitting(limitMs: number): number {
  return Math.min(natural(Math.ceil(Math.min(limitMs, 0xffff_ffff)), 'a limit'), 0xffff_ffff)
}
