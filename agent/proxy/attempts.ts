// A connection on its way to an endpoint: candidates are given to the engine, what becomes of them is told to those who
// learn from it (load, latency, ejections, affinity), and when none took it another round follows, or none.

import type { Clock, Random } from '../model/clock.ts'
import { UPSTREAM_MARK } from '../model/steering-names.ts'
import type { Connecting, Connection } from './connection.ts'
import type { AffinityTable } from './decision/affinity.ts'
import type { Earlier } from './decision/decide.ts'
import type { ConnectDecision } from './decision/decision.ts'
import type { Candidate } from './decision/pool.ts'
import { writeProxyHeader } from './decision/proxy-protocol.ts'
import { nextRound, NOT_TRIED } from './decision/retry.ts'
import type { Traffic } from './decision/traffic.ts'
import type { Journal } from './journal.ts'

export interface AttemptsParts {
  readonly clock: Clock
  readonly random: Random
  readonly journal: Journal
  readonly affinity: AffinityTable
  readonly traffic: Traffic
}

/** What follows when attempts lead nowhere. */
export interface Consequences {
  /** `deadlineAtMs`: of all attempts. */
  decideAgain(connection: Connection, earlier: Earlier, deadlineAtMs: number): void
  refuse(connection: Connection, because: string, why: readonly string[]): void
  giveUp(connection: Connection, because: string): void
}

export class Attempts {
  readonly #parts: AttemptsParts
  readonly #then: Consequences

  constructor(parts: AttemptsParts, consequences: Consequences) {
    this.#parts = parts
    this.#then = consequences
  }

  /** `deadlineAtMs` undefined: these are the first. */
  start(
    connection: Connection,
    decision: ConnectDecision,
    { peeked, progress = NOT_TRIED }: Earlier,
    deadlineAtMs: number | undefined,
  ): void {
    const { candidates, policy, skipBytes } = decision
    const nowMs = this.#parts.clock.monotonicMs()
    const untilMs = deadlineAtMs ?? nowMs + policy.connect.deadlineMs
    // Without a header the client is the peer, one object for both.
    if (peeked?.proxy?.client !== undefined) connection.client = decision.client
    const [first] = candidates
    if (first === undefined) return this.#then.refuse(connection, 'no-endpoints', [])
    if (!this.#join(connection, decision)) return
    // At once, so that a second connection of the client does not choose again while the first still connects.
    if (decision.sticky !== 'lost') this.#remember(connection, decision, first)
    connection.state = { kind: 'connecting', decision, progress, peeked, deadlineAtMs: untilMs, trying: 0 }
    connection.traffic?.started(first.key, nowMs, progress === NOT_TRIED ? 'first' : 'retry')
    const prefix = prefixOf(connection, decision)
    connection.worker.engine.decide(connection.id, {
      kind: 'connect',
      candidates,
      mark: UPSTREAM_MARK,
      attemptTimeoutMs: policy.connect.attemptTimeoutMs,
      deadlineMs: Math.max(1, untilMs - nowMs),
      skipBytes,
      ...(prefix === undefined ? {} : { prefix }),
      limits: policy.timeouts,
    })
  }

  failed(connection: Connection, index: number, code: string, durationUs: number): void {
    const { state, traffic } = connection
    if (state.kind !== 'connecting') return
    const { candidates, policy } = state.decision
    const failed = candidates[index]
    if (failed === undefined || traffic === undefined) return
    const nowMs = this.#parts.clock.monotonicMs()
    this.#isAt(connection, state, index)
    this.#note(connection, failed, code, durationUs)
    const ejection = traffic.failed(failed.key, { code, durationMs: durationUs / 1_000 }, nowMs, policy)
    if (ejection !== undefined) this.#parts.journal.ejected(connection, ejection)
    state.trying = index + 1
    const next = candidates[index + 1]
    if (next !== undefined) traffic.started(next.key, nowMs, furtherKind(state))
  }

  connected(connection: Connection, index: number, durationUs: number): void {
    const { state, traffic } = connection
    if (state.kind !== 'connecting') return
    const { decision } = state
    const endpoint = decision.candidates[index]
    if (endpoint === undefined) return
    this.#isAt(connection, state, index)
    this.#note(connection, endpoint, 'connected', durationUs)
    connection.meters?.connectSeconds(durationUs / 1e6)
    const nowMs = this.#parts.clock.monotonicMs()
    traffic?.connected(endpoint.key, durationUs / 1_000, nowMs, decision.policy)
    connection.endpoint = endpoint
    connection.state = RELAYING
    if (index > 0 || decision.sticky === 'lost') this.#remember(connection, decision, endpoint)
  }

  exhausted(connection: Connection): void {
    const { state, traffic, meters } = connection
    if (state.kind !== 'connecting' || traffic === undefined) return
    this.cancel(connection)
    const { decision, progress, peeked, deadlineAtMs } = state
    const { clock, random } = this.#parts
    const nowMs = clock.monotonicMs()
    const retriesLeft = traffic.retriesLeft(nowMs, decision.policy.connect.retryBudget)
    const next = nextRound({ decision, progress, deadlineAtMs, retriesLeft }, nowMs, random)
    if (next.kind === 'giveUp') {
      meters?.retried(next.because)
      return this.#then.giveUp(connection, next.because)
    }
    meters?.retried('tried')
    const earlier = { peeked, progress: next.progress, service: decision.service }
    const again = (): void => this.#then.decideAgain(connection, earlier, deadlineAtMs)
    if (next.delayMs === 0) return again()
    connection.state = { kind: 'waiting', cancel: clock.after(next.delayMs, again) }
  }

  /** The attempt under way, if there is one, is over without the endpoint's fault. */
  cancel(connection: Connection): void {
    const { state } = connection
    const tried = state.kind === 'connecting' ? candidateTried(state) : undefined
    if (tried === undefined) return
    connection.traffic?.ended(tried.key, this.#parts.clock.monotonicMs())
    this.#note(connection, tried, 'cancelled', 0)
  }

  /** What is counted as tried is what the engine says, even if it should leave one out. */
  #isAt({ traffic }: Connection, state: Connecting, index: number): void {
    if (index === state.trying) return
    const nowMs = this.#parts.clock.monotonicMs()
    const counted = candidateTried(state)
    if (counted !== undefined) traffic?.ended(counted.key, nowMs)
    state.trying = index
    const tried = candidateTried(state)
    if (tried !== undefined) traffic?.started(tried.key, nowMs, furtherKind(state))
  }

  /** Counts it in where it goes; false: it was refused. A later decision may lead to another Service port. */
  #join(connection: Connection, { service, policy }: ConnectDecision): boolean {
    const { traffic, journal, clock } = this.#parts
    const joined = traffic.of(service)
    if (connection.traffic === joined) return true
    if (connection.meters === undefined) {
      connection.meters = journal.metersOf(service)
      connection.meters.accepted()
    }
    const admission = joined.admit(connection.client.ip, policy.limits, clock.monotonicMs())
    if (admission.kind === 'refused') {
      this.#then.refuse(connection, admission.because, ['see the limits of its TrafficPolicy'])
      return false
    }
    connection.traffic?.leave(connection.client.ip)
    connection.traffic = joined
    return true
  }

  #note(connection: Connection, endpoint: Candidate, result: string, durationUs: number): void {
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

function candidateTried({ decision, trying }: Connecting): Candidate | undefined {
  return decision.candidates[trying]
}

/** Of an attempt that is not the first of its verdict. */
function furtherKind({ progress }: Connecting): 'failover' | 'retry' {
  return progress === NOT_TRIED ? 'failover' : 'retry'
}

/** What the endpoint hears first. */
function prefixOf({ client, destination }: Connection, { policy }: ConnectDecision): Uint8Array | undefined {
  if (policy.proxyProtocol.send === 'none' || destination === undefined) return undefined
  return writeProxyHeader(client, destination)
}

const RELAYING = { kind: 'relaying' } as const
