// Runs the life of every connection: hears from the engines what happened, asks decisions what that means, and tells the
// engines. It opens nothing and moves no byte.
//
//   accepted ──▶ peeking ──▶ connecting ──▶ relaying ──▶ ended
//       │            │         │    ▲  │                   ▲
//       │            │         ▼    │  └── client gone ────┤
//       │            │        waiting                      │
//       ├────────────┴─────────┴──▶ refusing ──────────────┤
//       └──▶ answering (a self-test) ──────────────────────┘

import type { Socket } from 'node:net'
import type { Port } from '../model/port.ts'
import { Attempts, type AttemptsParts } from './attempts.ts'
import { Connection, type ConnectionEnd } from './connection.ts'
import type { ConnectionTable } from './connection-table.ts'
import type { LocalAddresses } from './decision/client-kind.ts'
import { decide, type Earlier } from './decision/decide.ts'
import type { PeekDecision } from './decision/decision.ts'
import { MAX_PROXY_HEADER_BYTES } from './decision/proxy-protocol.ts'
import { MAX_HELLO_BYTES } from './decision/tls/client-hello.ts'
import type { ProxyView } from './decision/view.ts'
import type { ConnectionId, EngineEvents, RelayEnd, SocketAddress } from './engine/engine.ts'
import { readOpening } from './opening.ts'
import type { Worker } from './worker.ts'

export interface IntakeParts extends AttemptsParts {
  readonly table: ConnectionTable
  readonly local: LocalAddresses
  readonly view: () => ProxyView | undefined
  readonly maxConnections: number
  readonly listenerPort: Port
  /** Says over a self-test connection who answers. */
  readonly selfTestAnswer: () => string
}

export class Intake {
  readonly #parts: IntakeParts
  readonly #attempts: Attempts
  #accepted = 0
  /** Refused ones that the engines have not reset yet. */
  #refusing = 0
  #closed = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
    this.#attempts = new Attempts(parts, {
      decideAgain: (connection, earlier, deadlineAtMs) =>
        this.#tryToDecide(connection, earlier, deadlineAtMs),
      refuse: (connection, because, why) => this.#refuse(connection, because, why),
      giveUp: (connection, because) => this.#giveUp(connection, because),
    })
  }

  /** Connections since the start. */
  get accepted(): number {
    return this.#accepted
  }

  /** From now on everything is refused as `draining`. */
  close(): void {
    this.#closed = true
  }

  /** For the engine of one worker. News of connections that are over change nothing. */
  events(worker: Worker): EngineEvents {
    const about = (id: ConnectionId, happen: (connection: Connection) => void): void => {
      const connection = worker.connections.get(id)
      if (connection === undefined) return
      try {
        happen(connection)
      } catch (error) {
        this.#defect(connection, error)
      }
    }
    return {
      accepted: (id, client, destination) => this.#begin(worker, id, client, destination),
      readable: (id, _waiting, over) => about(id, (connection) => this.#read(connection, over)),
      attemptFailed: (id, index, code, durationUs) =>
        about(id, (connection) => this.#attempts.failed(connection, index, code, durationUs)),
      connected: (id, index, durationUs) =>
        about(id, (connection) => this.#attempts.connected(connection, index, durationUs)),
      exhausted: (id) => about(id, (connection) => this.#attempts.exhausted(connection)),
      handedOver: (id, socket) => about(id, (connection) => this.#answer(connection, socket)),
      ended: (id, end) => about(id, (connection) => this.#ended(connection, end)),
      acceptFailed: (code, times) => this.#parts.journal.acceptFailed(worker.number, code, times),
    }
  }

  /** The thread of its engine died, and every connection with it. */
  lose(worker: Worker): void {
    // A Map may be walked while entries are taken out.
    for (const connection of worker.connections.values()) this.#lose(connection)
  }

  #begin(
    worker: Worker,
    id: ConnectionId,
    client: SocketAddress,
    destination: SocketAddress | undefined,
  ): void {
    const { table, clock } = this.#parts
    this.#accepted++
    worker.accepted++
    const number = table.newNumber()
    const connection = new Connection(number, worker, id, { client, destination }, clock.monotonicMs())
    table.add(connection)
    this.#tryToDecide(connection, FIRST)
  }

  #tryToDecide(connection: Connection, earlier: Earlier, deadlineAtMs?: number): void {
    try {
      this.#decide(connection, earlier, deadlineAtMs)
    } catch (error) {
      this.#defect(connection, error)
    }
  }

  /** A bug costs one connection, and not those that were told of with it. */
  #defect(connection: Connection, error: unknown): void {
    this.#parts.journal.defect(error)
    connection.worker.engine.abort(connection.id)
  }

  /** `deadlineAtMs`: of attempts that began already. */
  #decide(connection: Connection, earlier: Earlier, deadlineAtMs?: number): void {
    const { clock, table, view, random, affinity, traffic, local, listenerPort, maxConnections } = this.#parts
    const { peer, destination } = connection
    if (destination === undefined)
      return this.#refuse(connection, 'no-destination', ['conntrack does not know what was dialled'])
    const nowMs = clock.monotonicMs()
    const inForce = view()
    const decision = decide(
      { client: peer, destination },
      inForce,
      {
        nowMs,
        affinity,
        traffic,
        local,
        listenerPort,
        maxConnections,
        // Without itself, and without those that are reset as soon as their engine comes to it.
        openConnections: table.size - 1 - this.#refusing,
        draining: this.#closed,
      },
      random,
      earlier,
    )
    connection.decision = decision
    connection.epoch = inForce?.epoch ?? ''
    connection.generation = inForce?.generation ?? 0
    switch (decision.kind) {
      case 'refuse':
        return this.#refuse(connection, decision.because, decision.why)
      case 'selftest':
        connection.state = ANSWERING
        return connection.worker.engine.decide(connection.id, { kind: 'handOver' })
      case 'peek':
        return this.#peek(connection, decision, nowMs + decision.timeoutMs, 1)
      case 'connect':
        return this.#attempts.start(connection, decision, earlier, deadlineAtMs)
    }
  }

  #peek(connection: Connection, decision: PeekDecision, deadlineAtMs: number, atLeastBytes: number): void {
    const timeoutMs = Math.max(0, deadlineAtMs - this.#parts.clock.monotonicMs())
    connection.state = { kind: 'peeking', decision, deadlineAtMs, atLeastBytes }
    connection.worker.engine.decide(connection.id, { kind: 'peek', atLeastBytes, timeoutMs })
  }

  #read(connection: Connection, over: boolean): void {
    const { state, worker, id } = connection
    if (state.kind !== 'peeking') return
    const { decision, deadlineAtMs } = state
    const bytes = worker.engine.peek(id, MAX_PEEK_BYTES)
    // A look ends at an urgent byte of the client's, whatever waits behind it: another would show no more, and come at once.
    const isAll = over || bytes.length < state.atLeastBytes
    const opening = readOpening(bytes, isAll, decision.wanted)
    if (opening.kind === 'more') return this.#peek(connection, decision, deadlineAtMs, opening.atLeastBytes)
    for (const { lookedFor, result } of opening.looks) this.#parts.journal.looked(lookedFor, result)
    this.#decide(connection, { peeked: opening.peeked })
  }

  #refuse(connection: Connection, because: string, why: readonly string[]): void {
    this.#parts.journal.refused(connection, because, why)
    this.#reset(connection, `refused: ${because}`)
  }

  #giveUp(connection: Connection, because: string): void {
    this.#parts.journal.failed(connection, because)
    this.#reset(connection, because)
  }

  #reset(connection: Connection, because: string): void {
    this.#refusing++
    connection.state = { kind: 'refusing', because }
    connection.worker.engine.decide(connection.id, { kind: 'refuse' })
  }

  #answer(connection: Connection, socket: Socket): void {
    socket.on('error', () => {})
    socket.end(this.#parts.selfTestAnswer(), () => socket.destroy())
    this.#finish(connection, 'selftest', NO_END)
  }

  #ended(connection: Connection, end: RelayEnd): void {
    const { state } = connection
    this.#attempts.cancel(connection)
    this.#finish(connection, state.kind === 'refusing' ? state.because : end.outcome, end)
  }

  #lose(connection: Connection): void {
    const { state, worker, id, startMs } = connection
    this.#attempts.cancel(connection)
    const bytes = state.kind === 'relaying' ? worker.engine.bytes(id) : NO_END.bytes
    const durationUs = (this.#parts.clock.monotonicMs() - startMs) * 1_000
    this.#finish(connection, 'worker-lost', { ...NO_END, bytes, durationUs })
  }

  /** Every connection comes through here once. */
  #finish(connection: Connection, because: string, end: Omit<RelayEnd, 'outcome'>): void {
    const { table, journal, clock } = this.#parts
    const { state, traffic, endpoint } = connection
    if (state.kind === 'waiting') state.cancel()
    if (state.kind === 'refusing') this.#refusing--
    if (endpoint !== undefined) traffic?.ended(endpoint.key, clock.monotonicMs())
    traffic?.leave(connection.client.ip)
    const ended: ConnectionEnd = {
      kind: 'ended',
      because,
      bytes: end.bytes,
      durationUs: end.durationUs,
      client: end.client,
      endpoint: end.endpoint,
    }
    connection.state = ended
    // Self-tests come all the time and would drive everything else out of the list.
    table.end(connection, because !== 'selftest')
    journal.ended(connection, ended)
  }
}

/** The most that is looked at: a PROXY header and a ClientHello. */
const MAX_PEEK_BYTES = MAX_PROXY_HEADER_BYTES + MAX_HELLO_BYTES
const FIRST: Earlier = {}
const ANSWERING = { kind: 'answering' } as const
const NO_END: Omit<RelayEnd, 'outcome'> = {
  bytes: { fromClient: 0, fromEndpoint: 0 },
  durationUs: 0,
  client: undefined,
  endpoint: undefined,
}
