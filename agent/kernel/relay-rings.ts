// JavaScript's ends of the two rings that it shares with a relay engine: reads events, writes commands. Pure over the
// memory; native-relay.ts knows when to look and whom to wake.

import type { RelayTimeouts } from '../model/connection-policy.ts'
import type { Address, Fd } from './native-types.ts'
import { RelayAddresses } from './relay-addresses.ts'
import type { RelayConnect, RelayCounters, RelayEnd, RelayEvents, RelayLeg } from './relay-events.ts'
import {
  CANDIDATE_BYTES,
  CANDIDATE_PORT,
  COMMAND,
  COMMAND_BYTES,
  COMMAND_KIND,
  COUNTERS,
  COUNTERS_AT,
  EVENT,
  EVENT_BYTES,
  EVENT_FLAG,
  EVENT_KIND,
  HEADER_BYTES,
  LEG,
  OUTCOME,
  SLOT_BYTES,
  WORD,
} from './relay-layout.ts'
import { errnoName } from './system-error.ts'

export interface RingSizes {
  /** Powers of two. */
  readonly events: number
  readonly commands: number
  /** Connections at once, at most 2^19. */
  readonly slots: number
}

/** What the rings tell beside RelayEvents. */
export interface RingEvents extends RelayEvents {
  listenerRemoved(fd: Fd): void
}

export class RelayRings {
  readonly memory: ArrayBuffer
  readonly #sizes: RingSizes
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #shorts: Uint16Array
  readonly #doubles: Float64Array
  readonly #addresses: RelayAddresses
  readonly #commandsAt: number
  readonly #slotsAt: number
  #eventTail = FIRST_COUNT
  #commandHead = FIRST_COUNT

  constructor(sizes: RingSizes) {
    this.#sizes = sizes
    this.#commandsAt = HEADER_BYTES + sizes.events * EVENT_BYTES
    this.#slotsAt = this.#commandsAt + sizes.commands * COMMAND_BYTES
    this.memory = new ArrayBuffer(this.#slotsAt + sizes.slots * SLOT_BYTES)
    this.#bytes = new Uint8Array(this.memory)
    this.#words = new Int32Array(this.memory)
    this.#shorts = new Uint16Array(this.memory)
    this.#doubles = new Float64Array(this.memory)
    this.#addresses = new RelayAddresses(this.memory)
    this.#words[WORD.eventCapacity] = sizes.events
    this.#words[WORD.commandCapacity] = sizes.commands
    this.#words[WORD.slots] = sizes.slots
    for (const word of [WORD.eventHead, WORD.eventTail, WORD.commandHead, WORD.commandTail])
      this.#words[word] = FIRST_COUNT
  }

  /**
   * Tells what is in the ring by now. What comes later, even meanwhile, wakes again. An exception of a listener takes
   * away no other event; it is thrown when all have been told.
   */
  drain(to: RingEvents): void {
    // In this order: whoever writes an event after the second line sees the first and wakes.
    Atomics.store(this.#words, WORD.woken, 0)
    const head = Atomics.load(this.#words, WORD.eventHead)
    const failures: unknown[] = []
    // Not "until it is there": a listener that closes the relay drains the ring, too, and further.
    while (((head - this.#eventTail) | 0) > 0) {
      const at = HEADER_BYTES + (this.#eventTail & (this.#sizes.events - 1)) * EVENT_BYTES
      this.#eventTail = (this.#eventTail + 1) | 0
      try {
        this.#tell(at, to)
      } catch (error) {
        failures.push(error)
      }
      // Only now may the engine write over it.
      Atomics.store(this.#words, WORD.eventTail, this.#eventTail)
    }
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures)
  }

  /** True, once, if the engine sleeps and has to be woken for the commands written so far. */
  mustWake(): boolean {
    return Atomics.compareExchange(this.#words, WORD.sleeps, 1, 0) === 1
  }

  // Commands. False: the ring is full, and nothing was written.

  listener(kind: 'addListener' | 'removeListener', fd: Fd): boolean {
    const at = this.#command(COMMAND_KIND[kind], 0)
    if (at < 0) return false
    this.#words[(at + COMMAND.fd) >> 2] = fd
    return this.#publish()
  }

  verdict(kind: 'handOver' | 'refuse' | 'abort', connection: number): boolean {
    return this.#command(COMMAND_KIND[kind], connection) >= 0 && this.#publish()
  }

  peek(connection: number, atLeastBytes: number, timeoutMs: number): boolean {
    const at = this.#command(COMMAND_KIND.peek, connection)
    if (at < 0) return false
    this.#words[(at + COMMAND.skipBytes) >> 2] = atLeastBytes
    this.#words[(at + COMMAND.attemptTimeoutMs) >> 2] = milliseconds(timeoutMs)
    return this.#publish()
  }

  connect(connection: number, options: RelayConnect): boolean {
    const at = this.#command(COMMAND_KIND.connect, connection)
    if (at < 0) return false
    const words = this.#words
    words[(at + COMMAND.mark) >> 2] = options.mark
    words[(at + COMMAND.attemptTimeoutMs) >> 2] = milliseconds(options.attemptTimeoutMs)
    words[(at + COMMAND.deadlineMs) >> 2] = milliseconds(options.deadlineMs)
    words[(at + COMMAND.skipBytes) >> 2] = options.skipBytes
    this.#limits(at, options.limits)
    let candidateAt = at + COMMAND.candidates
    for (const { ip, port } of options.candidates) {
      this.#addresses.write(candidateAt, ip)
      this.#shorts[(candidateAt + CANDIDATE_PORT) >> 1] = port
      candidateAt += CANDIDATE_BYTES
    }
    this.#bytes[at + COMMAND.candidateCount] = options.candidates.length
    this.#bytes[at + COMMAND.prefixLength] = options.prefix?.length ?? 0
    if (options.prefix !== undefined) this.#bytes.set(options.prefix, at + COMMAND.prefix)
    return this.#publish()
  }

  /** For tests of what watches the engine: it sleeps, or ends as by a defect. */
  fault(kind: 'stall' | 'die', durationMs: number): boolean {
    const at = this.#command(COMMAND_KIND[kind], 0)
    if (at < 0) return false
    this.#words[(at + COMMAND.attemptTimeoutMs) >> 2] = milliseconds(durationMs)
    return this.#publish()
  }

  // What the engine publishes.

  /** Modulo 2^32, signed. */
  turns(): number {
    return Atomics.load(this.#words, WORD.turns)
  }

  died(): boolean {
    return Atomics.load(this.#words, WORD.died) === 1
  }

  fromClientBytes(slot: number): number {
    return this.#doubles[(this.#slotsAt + slot * SLOT_BYTES) >> 3] ?? 0
  }

  fromEndpointBytes(slot: number): number {
    return this.#doubles[((this.#slotsAt + slot * SLOT_BYTES) >> 3) + 1] ?? 0
  }

  counters(): RelayCounters {
    const values = COUNTERS.map((name, i) => [name, this.#doubles[(COUNTERS_AT >> 3) + i] ?? 0] as const)
    return Object.fromEntries(values) as Record<(typeof COUNTERS)[number], number>
  }

  /** Where to write a command that has its kind and connection; -1 if there is no room. */
  #command(kind: number, connection: number): number {
    const used = (this.#commandHead - Atomics.load(this.#words, WORD.commandTail)) | 0
    if (used >= this.#sizes.commands) return -1
    const at = this.#commandsAt + (this.#commandHead & (this.#sizes.commands - 1)) * COMMAND_BYTES
    this.#words[(at + COMMAND.kind) >> 2] = kind
    this.#words[(at + COMMAND.connection) >> 2] = connection
    return at
  }

  #publish(): true {
    this.#commandHead = (this.#commandHead + 1) | 0
    Atomics.store(this.#words, WORD.commandHead, this.#commandHead)
    return true
  }

  #limits(at: number, { idleMs, halfClosedMs, silentMs, lifetimeMs }: RelayTimeouts): void {
    const words = this.#words
    words[(at + COMMAND.idleMs) >> 2] = milliseconds(idleMs)
    words[(at + COMMAND.halfClosedMs) >> 2] = milliseconds(halfClosedMs)
    words[(at + COMMAND.silentMs) >> 2] = milliseconds(silentMs)
    words[(at + COMMAND.lifetimeMs) >> 2] = milliseconds(lifetimeMs)
  }

  #tell(at: number, to: RingEvents): void {
    const connection = this.#word(at + EVENT.connection)
    switch (this.#word(at + EVENT.kind)) {
      case EVENT_KIND.accepted:
        return to.accepted(
          connection,
          this.#address(at + EVENT.client, at + EVENT.clientPort),
          this.#word(at + EVENT.flags) & EVENT_FLAG.destinationKnown
            ? this.#address(at + EVENT.destination, at + EVENT.destinationPort)
            : undefined,
          this.#word(at + EVENT.fd),
        )
      case EVENT_KIND.readable:
        return to.readable(
          connection,
          this.#word(at + EVENT.waiting),
          (this.#word(at + EVENT.flags) & EVENT_FLAG.over) !== 0,
        )
      case EVENT_KIND.attemptFailed:
        return to.attemptFailed(
          connection,
          this.#word(at + EVENT.index),
          errnoName(this.#word(at + EVENT.error)),
          this.#durationUs(at),
        )
      case EVENT_KIND.connected:
        return to.connected(connection, this.#word(at + EVENT.index), this.#durationUs(at))
      case EVENT_KIND.exhausted:
        return to.exhausted(connection)
      case EVENT_KIND.handedOver:
        return to.handedOver(connection, this.#word(at + EVENT.fd))
      case EVENT_KIND.ended:
        return to.ended(connection, this.#end(at))
      case EVENT_KIND.acceptFailed:
        return to.acceptFailed(errnoName(this.#word(at + EVENT.error)), this.#word(at + EVENT.index))
      case EVENT_KIND.listenerRemoved:
        return to.listenerRemoved(this.#word(at + EVENT.fd))
      default:
        throw new Error(`the relay told something unknown: ${this.#word(at + EVENT.kind)}`)
    }
  }

  #end(at: number): RelayEnd {
    const flags = this.#word(at + EVENT.flags)
    return {
      outcome: OUTCOMES[this.#word(at + EVENT.outcome)] ?? 'aborted',
      bytes: {
        fromClient: this.#doubles[(at + EVENT.fromClient) >> 3] ?? 0,
        fromEndpoint: this.#doubles[(at + EVENT.fromEndpoint) >> 3] ?? 0,
      },
      durationUs: this.#durationUs(at),
      client: flags & EVENT_FLAG.hasClientLeg ? this.#leg(at + EVENT.clientLeg) : undefined,
      endpoint: flags & EVENT_FLAG.hasEndpointLeg ? this.#leg(at + EVENT.endpointLeg) : undefined,
    }
  }

  #leg(at: number): RelayLeg {
    return {
      rttUs: this.#word(at + LEG.rttUs) >>> 0,
      rttVarianceUs: this.#word(at + LEG.rttVarianceUs) >>> 0,
      retransmits: this.#word(at + LEG.retransmits) >>> 0,
      lost: this.#word(at + LEG.lost) >>> 0,
    }
  }

  #address(addressAt: number, portAt: number): Address {
    return { ip: this.#addresses.read(addressAt), port: this.#shorts[portAt >> 1] ?? 0 }
  }

  #word(at: number): number {
    return this.#words[at >> 2] ?? 0
  }

  #durationUs(at: number): number {
    return this.#doubles[(at + EVENT.durationUs) >> 3] ?? 0
  }
}

/**
 * Counts wrap after 2^32, which takes a busy engine a day or two. They begin shortly before that, so that every run of
 * every engine goes through it.
 */
const FIRST_COUNT = -200

type Outcome = keyof typeof OUTCOME

const OUTCOMES: readonly (Outcome | undefined)[] = (Object.keys(OUTCOME) as Outcome[]).reduce<
  (Outcome | undefined)[]
>((names, name) => {
  names[OUTCOME[name]] = name
  return names
}, [])

/** What fits the record: 49 days. */
function milliseconds(value: number): number {
  return Math.min(Math.max(0, Math.ceil(value)), 0xffff_ffff)
}
