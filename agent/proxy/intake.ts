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
import type { Clock, Random } from '../model/clock.ts'
import type { Port } from '../model/port.ts'
import { UPSTREAM_MARK } from '../model/steering-names.ts'
import { Connection, type Connecting, type ConnectionEnd } from './connection.ts'
import type { ConnectionTable } from './connection-table.ts'
import type { AffinityTable } from './decision/affinity.ts'
import type { LocalAddresses } from './decision/client-kind.ts'
import { decide, type Earlier } from './decision/decide.ts'
import type { ConnectDecision, PeekDecision } from './decision/decision.ts'
import type { Candidate } from './decision/pool.ts'
import { MAX_PROXY_HEADER_BYTES, writeProxyHeader } from './decision/proxy-protocol.ts'
import { nextRound, NOT_TRIED } from './decision/retry.ts'
import { MAX_HELLO_BYTES } from './decision/tls/client-hello.ts'
import type { Traffic } from './decision/traffic.ts'
import type { ProxyView } from './decision/view.ts'
import type { ConnectionId, EngineEvents, RelayEnd, SocketAddress } from './engine/engine.ts'
import type { Journal } from './journal.ts'
import { readOpening } from './opening.ts'
import type { Worker } from './worker.ts'

export interface IntakeParts {
  readonly clock: Clock
  readonly random: Random
  readonly table: ConnectionTable
  readonly journal: Journal
  readonly affinity: AffinityTable
  readonly traffic: Traffic
  readonly local: LocalAddresses
  readonly view: () => ProxyView | undefined
  readonly maxConnections: number
  readonly listenerPort: Port
  /** Says over a self-test connection who answers. */
  readonly selfTestAnswer: () => string
}

export class Intake {
  readonly #parts: IntakeParts
  #accepted = 0
  /** Refused ones that the engines have not reset yet. */
  #refusing = 0
  #closed = false

  constructor(parts: IntakeParts) {
    this.#parts = parts
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
        about(id, (connection) => this.#attemptFailed(connection, index, code, durationUs)),
      connected: (id, index, durationUs) =>
        about(id, (connection) => this.#connected(connection, index, durationUs)),
      exhausted: (id) => about(id, (connection) => this.#exhausted(connection)),
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
    try {
      this.#decide(connection, FIRST)
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
        return this.#connect(connection, decision, earlier, nowMs, deadlineAtMs)
    }
  }

  #peek(connection: Connection, decision: PeekDecision, deadlineAtMs: number, atLeastBytes: number): void {
    const timeoutMs = Math.max(0, deadlineAtMs - this.#parts.clock.monotonicMs())
    connection.state = { kind: 'peeking', decision, deadlineAtMs }
    connection.worker.engine.decide(connection.id, { kind: 'peek', atLeastBytes, timeoutMs })
  }

  #read(connection: Connection, over: boolean): void {
    const { state, worker, id } = connection
    if (state.kind !== 'peeking') return
    const { decision, deadlineAtMs } = state
    const opening = readOpening(worker.engine.peek(id, MAX_PEEK_BYTES), over, decision.wanted)
    if (opening.kind === 'more') return this.#peek(connection, decision, deadlineAtMs, opening.atLeastBytes)
    for (const { lookedFor, result } of opening.looks) this.#parts.journal.looked(lookedFor, result)
    this.#decide(connection, { peeked: opening.peeked })
  }

  #connect(
    connection: Connection,
    decision: ConnectDecision,
    { peeked, progress = NOT_TRIED }: Earlier,
    nowMs: number,
    deadlineAtMs = nowMs + decision.policy.connect.deadlineMs,
  ): void {
    const { candidates, policy, skipBytes } = decision
    // Without a header the client is the peer, one object for both.
    if (peeked?.proxy?.client !== undefined) connection.client = decision.client
    const [first] = candidates
    if (first === undefined) return this.#refuse(connection, 'no-endpoints', [])
    if (!this.#join(connection, decision)) return
    // At once, so that a second connection of the client does not choose again while the first still connects.
    if (decision.sticky !== 'lost') this.#remember(connection, decision, first)
    connection.state = { kind: 'connecting', decision, progress, peeked, deadlineAtMs, trying: 0 }
    connection.traffic?.started(first.key, nowMs, progress !== NOT_TRIED)
    const prefix = prefixOf(connection, decision)
    connection.worker.engine.decide(connection.id, {
      kind: 'connect',
      candidates,
      mark: UPSTREAM_MARK,
      attemptTimeoutMs: policy.connect.attemptTimeoutMs,
      deadlineMs: Math.max(1, deadlineAtMs - nowMs),
      skipBytes,
      ...(prefix === undefined ? {} : { prefix }),
      limits: policy.timeouts,
    })
  }

  /** Counts it in where it goes; false: it was refused. A later decision may lead to another Service port. */
  #join(connection: Connection, { service, policy }: ConnectDecision): boolean {
    const { traffic, journal } = this.#parts
    const joined = traffic.of(service)
    if (connection.traffic === joined) return true
    if (connection.meters === undefined) {
      connection.meters = journal.metersOf(service)
      connection.meters.accepted()
    }
    const admission = joined.admit(connection.client.ip, policy.limits)
    if (admission.kind === 'refused') {
      this.#refuse(connection, admission.because, ['see the limits of its TrafficPolicy'])
      return false
    }
    connection.traffic?.leave(connection.client.ip)
    connection.traffic = joined
    return true
  }

  #attemptFailed(connection: Connection, index: number, code: string, durationUs: number): void {
    const { state, traffic } = connection
    if (state.kind !== 'connecting') return
    const { candidates, policy } = state.decision
    const failed = candidates[index]
    if (failed === undefined || traffic === undefined) return
    const nowMs = this.#parts.clock.monotonicMs()
    this.#attempted(connection, failed, code, durationUs)
    const ejection = traffic.failed(failed.key, { code, durationMs: durationUs / 1_000 }, nowMs, policy)
    if (ejection !== undefined) this.#parts.journal.ejected(connection, ejection)
    state.trying = index + 1
    const next = candidates[index + 1]
    if (next !== undefined) traffic.started(next.key, nowMs, true)
  }

  #connected(connection: Connection, index: number, durationUs: number): void {
    const { state, traffic } = connection
    if (state.kind !== 'connecting') return
    const { decision } = state
    const endpoint = decision.candidates[index]
    if (endpoint === undefined) return
    this.#attempted(connection, endpoint, 'connected', durationUs)
    connection.meters?.connectSeconds(durationUs / 1e6)
    const nowMs = this.#parts.clock.monotonicMs()
    traffic?.connected(endpoint.key, durationUs / 1_000, nowMs, decision.policy)
    connection.endpoint = endpoint
    connection.state = RELAYING
    if (index > 0 || decision.sticky === 'lost') this.#remember(connection, decision, endpoint)
  }

  #exhausted(connection: Connection): void {
    const { state, traffic, meters } = connection
    if (state.kind !== 'connecting' || traffic === undefined) return
    this.#cancelAttempt(connection, state)
    const { decision, progress, peeked, deadlineAtMs } = state
    const { clock, random } = this.#parts
    const nowMs = clock.monotonicMs()
    const retriesLeft = traffic.retriesLeft(nowMs, decision.policy.connect.retryBudget)
    const next = nextRound({ decision, progress, deadlineAtMs, retriesLeft }, nowMs, random)
    if (next.kind === 'giveUp') {
      meters?.retried(next.because)
      return this.#giveUp(connection, next.because)
    }
    meters?.retried('tried')
    const again = (): void =>
      this.#decide(connection, { peeked, progress: next.progress, service: decision.service }, deadlineAtMs)
    if (next.delayMs === 0) return again()
    connection.state = { kind: 'waiting', cancel: clock.after(next.delayMs, again) }
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
    if (state.kind === 'connecting') this.#cancelAttempt(connection, state)
    this.#finish(connection, state.kind === 'refusing' ? state.because : end.outcome, end)
  }

  #lose(connection: Connection): void {
    const { state, worker, id, startMs } = connection
    if (state.kind === 'connecting') this.#cancelAttempt(connection, state)
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

  /** The attempt under way, if there is one, is over without the endpoint's fault. */
  #cancelAttempt(connection: Connection, { decision, trying }: Connecting): void {
    const tried = decision.candidates[trying]
    if (tried === undefined) return
    connection.traffic?.ended(tried.key, this.#parts.clock.monotonicMs())
    this.#attempted(connection, tried, 'cancelled', 0)
  }

  #attempted(connection: Connection, endpoint: Candidate, result: string, durationUs: number): void {
    const attempt = { endpoint, result, durationUs }
    connection.attempts = connection.attempts.length === 0 ? [attempt] : [...connection.attempts, attempt]
    this.#parts.journal.attempted(connection, endpoint, result)
  }

  #remember(
    { client }: Connection,
    { affinitySeconds, service }: ConnectDecision,
    endpoint: Candidate,
  ): void {
    if (affinitySeconds === undefined) return
    const { affinity, clock } = this.#parts
    affinity.remember(service, client.ip, endpoint, affinitySeconds, clock.monotonicMs())
  }
}

/** What the endpoint hears first. */
function prefixOf({ client, destination }: Connection, { policy }: ConnectDecision): Uint8Array | undefined {
  if (policy.proxyProtocol.send === 'none' || destination === undefined) return undefined
  return writeProxyHeader(client, destination)
}

/** The most that is looked at: a PROXY header and a ClientHello. */
const MAX_PEEK_BYTES = MAX_PROXY_HEADER_BYTES + MAX_HELLO_BYTES
const FIRST: Earlier = {}
const ANSWERING = { kind: 'answering' } as const
const RELAYING = { kind: 'relaying' } as const
const NO_END: Omit<RelayEnd, 'outcome'> = {
  bytes: { fromClient: 0, fromEndpoint: 0 },
  durationUs: 0,
  client: undefined,
  endpoint: undefined,
}
