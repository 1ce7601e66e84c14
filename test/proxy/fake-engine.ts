// An engine without sockets: it keeps what it was told, and a test says what happens.

import type { Fd } from '#agent/kernel/native-types.ts'
import type {
  ConnectionId,
  Engine,
  EngineCounter,
  EngineEvents,
  EngineStatus,
  RelayedBytes,
  RelayEnd,
  RelayOutcome,
  Verdict,
} from '#agent/proxy/engine/engine.ts'
import { endpoint } from './views.ts'

export class FakeEngine implements Engine {
  readonly events: EngineEvents
  readonly listeners = new Set<Fd>()
  readonly verdicts: { readonly connection: ConnectionId; readonly verdict: Verdict }[] = []
  readonly aborted: ConnectionId[] = []
  readonly moved = new Map<ConnectionId, RelayedBytes>()
  readonly counters: Record<EngineCounter, number> = {
    spliced_bytes: 0,
    copied_bytes: 0,
    pipe_shortages: 0,
    descriptor_shortages: 0,
    memory_shortages: 0,
    port_shortages: 0,
  }
  /** What waits to be peeked at. */
  firstBytes: Uint8Array = new Uint8Array(0)
  closed = false
  /** Set: its thread ended. */
  died: string | undefined
  /** Set: it stands still since then. */
  stuckSinceMs: number | undefined
  readonly #nowMs: () => number
  #lastId = 0

  constructor(events: EngineEvents, nowMs: () => number) {
    this.events = events
    this.#nowMs = nowMs
  }

  /** A client dials; `destination` undefined: the kernel does not know it. */
  accept(client: string, destination: string | undefined): ConnectionId {
    const id = ++this.#lastId
    this.events.accepted(id, endpoint(client), destination === undefined ? undefined : endpoint(destination))
    return id
  }

  /** The last thing it was told about the connection. */
  verdict(connection: ConnectionId): Verdict | undefined {
    return this.verdicts.findLast((each) => each.connection === connection)?.verdict
  }

  end(connection: ConnectionId, outcome: RelayOutcome, more: Partial<RelayEnd> = {}): void {
    this.events.ended(connection, {
      outcome,
      bytes: { fromClient: 0, fromEndpoint: 0 },
      durationUs: 1_000,
      client: undefined,
      endpoint: undefined,
      ...more,
    })
  }

  addListener(fd: Fd): void {
    if (this.closed) throw new Error('the engine is closed')
    this.listeners.add(fd)
  }

  /** An engine that is stuck does not come to it. */
  removeListener(fd: Fd): Promise<void> {
    this.listeners.delete(fd)
    return this.stuckSinceMs === undefined ? Promise.resolve() : new Promise(() => {})
  }

  decide(connection: ConnectionId, verdict: Verdict): void {
    this.verdicts.push({ connection, verdict })
  }

  peek(_connection: ConnectionId, maxBytes: number): Uint8Array {
    return this.firstBytes.subarray(0, maxBytes)
  }

  abort(connection: ConnectionId): void {
    this.aborted.push(connection)
  }

  bytes(connection: ConnectionId): RelayedBytes {
    return this.moved.get(connection) ?? { fromClient: 0, fromEndpoint: 0 }
  }

  adopt(): ConnectionId {
    throw new Error('not in these tests')
  }

  lastTurnMs(): number {
    return this.stuckSinceMs ?? this.#nowMs()
  }

  failure(): string | undefined {
    return this.died
  }

  status(): EngineStatus {
    return { kind: 'native', connections: 0, pipes: 0, counters: { ...this.counters } }
  }

  close(): void {
    this.closed = true
    this.listeners.clear()
  }
}
