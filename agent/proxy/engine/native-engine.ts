// The engine of the addon: a thread that accepts, connects and relays. This side only translates.

import { Socket } from 'node:net'
import type { Fd } from '../../kernel/native-types.ts'
import type { NativeRelay, RelayOptions } from '../../kernel/native-relay.ts'
import type { Clock } from '../../model/clock.ts'
import type { RelayTimeouts } from '../../model/connection-policy.ts'
import type { ConnectionId, Engine, EngineEvents, EngineStatus, RelayedBytes, Verdict } from './engine.ts'

export interface NativeEngineParts {
  readonly clock: Clock
  /** Native.relay */
  readonly open: (options: RelayOptions) => NativeRelay
  /** At once, at most. */
  readonly connections: number
  readonly events: EngineEvents
}

export class NativeEngine implements Engine {
  readonly #clock: Clock
  readonly #relay: NativeRelay
  #turns: number
  #turnedAtMs: number

  /** Throws what the system said if there is no thread or memory for it. */
  constructor({ clock, open, connections, events }: NativeEngineParts) {
    this.#clock = clock
    this.#relay = open({
      connections,
      events: {
        accepted: (connection, client, destination) => events.accepted(connection, client, destination),
        readable: (connection, waiting, over) => events.readable(connection, waiting, over),
        attemptFailed: (connection, index, code, durationUs) =>
          events.attemptFailed(connection, index, code, durationUs),
        connected: (connection, index, durationUs) => events.connected(connection, index, durationUs),
        exhausted: (connection) => events.exhausted(connection),
        handedOver: (connection, fd) => {
          const socket = new Socket({ fd, allowHalfOpen: true })
          events.handedOver(connection, socket.pause())
        },
        ended: (connection, end) => events.ended(connection, end),
        acceptFailed: (code, times) => events.acceptFailed(code, times),
      },
    })
    this.#turns = this.#relay.turns()
    this.#turnedAtMs = clock.monotonicMs()
  }

  addListener(fd: Fd): void {
    this.#relay.addListener(fd)
  }

  removeListener(fd: Fd): Promise<void> {
    return this.#relay.removeListener(fd)
  }

  decide(connection: ConnectionId, verdict: Verdict): void {
    switch (verdict.kind) {
      case 'connect':
        return this.#relay.connect(connection, verdict)
      case 'peek':
        return this.#relay.awaitBytes(connection, verdict.atLeastBytes, verdict.timeoutMs)
      case 'handOver':
        return this.#relay.handOver(connection)
      case 'refuse':
        return this.#relay.refuse(connection)
    }
  }

  peek(connection: ConnectionId, maxBytes: number): Uint8Array {
    return this.#relay.peek(connection, maxBytes)
  }

  abort(connection: ConnectionId): void {
    this.#relay.abort(connection)
  }

  bytes(connection: ConnectionId): RelayedBytes {
    return this.#relay.bytes(connection)
  }

  adopt(
    client: Fd,
    endpoint: Fd,
    limits: RelayTimeouts,
    first: { toEndpoint?: Uint8Array; toClient?: Uint8Array } = {},
  ): ConnectionId {
    return this.#relay.adopt(
      client,
      endpoint,
      limits,
      first.toEndpoint ?? NO_BYTES,
      first.toClient ?? NO_BYTES,
    )
  }

  /** As far as this side has looked: its counter of rounds is compared with the last time. */
  lastTurnMs(): number {
    const turns = this.#relay.turns()
    if (turns !== this.#turns) {
      this.#turns = turns
      this.#turnedAtMs = this.#clock.monotonicMs()
    }
    return this.#turnedAtMs
  }

  failure(): string | undefined {
    return this.#relay.died() ? 'the thread of the relay engine ended by a defect' : undefined
  }

  status(): EngineStatus {
    const counters = this.#relay.counters()
    return {
      kind: 'native',
      connections: counters.connections,
      pipes: counters.pipesInUse + counters.pipesPooled,
      counters: {
        spliced_bytes: counters.splicedBytes,
        copied_bytes: counters.copiedBytes,
        pipe_shortages: counters.pipeShortages,
        descriptor_shortages: counters.descriptorShortages,
        memory_shortages: counters.memoryShortages,
        port_shortages: counters.portShortages,
      },
    }
  }

  close(): void {
    this.#relay.close()
  }
}

const NO_BYTES = new Uint8Array(0)
