// Takes accepted connections in: decides, starts the session, counts, remembers affinity. Everything that it needs is
// passed in, so that tests give it sockets of their own and any original destination.

import type { Socket } from 'node:net'
import type { Clock, Random } from '../model/clock.ts'
import { DEFAULT_CONNECTION_POLICY } from '../model/connection-policy.ts'
import type { Ip } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { isPort, type Port } from '../model/port.ts'
import { AffinityTable } from './decision/affinity.ts'
import type { LocalAddresses } from './decision/client-kind.ts'
import {
  decide,
  type ConnectDecision,
  type Decision,
  type Flow,
  type RefuseDecision,
} from './decision/decide.ts'
import { Traffic } from './decision/traffic.ts'
import type { ProxyView, ViewEndpoint } from './decision/view.ts'
import { LogGate } from './log-gate.ts'
import type { ConnectTimeouts } from './options.ts'
import { resetSocket } from './reset.ts'
import type { EndReason } from './session-state.ts'
import { endText, Session, type SessionParts } from './session.ts'
import type { Sessions } from './sessions.ts'
import { socketIp } from './socket-ip.ts'

export interface IntakeParts extends Omit<SessionParts, 'events'> {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly sessions: Sessions
  readonly local: LocalAddresses
  readonly view: () => ProxyView | undefined
  readonly timeouts: ConnectTimeouts
  readonly maxConnections: number
  readonly listenerPort: Port
}

/** Where a connection was going; `unknown` if the kernel does not say. */
export type Destination =
  | { readonly kind: 'known'; readonly ip: Ip; readonly port: Port }
  | { readonly kind: 'unknown'; readonly because: string }

export class Intake {
  readonly affinity: AffinityTable
  readonly #traffic = new Traffic()
  readonly #parts: IntakeParts
  readonly #gate: LogGate
  readonly #refused = new Map<string, number>()
  readonly #sessionParts: SessionParts
  #accepted = 0
  #closed = false

  constructor(parts: IntakeParts, affinity = new AffinityTable()) {
    this.#parts = parts
    this.affinity = affinity
    this.#gate = new LogGate(parts.clock)
    this.#sessionParts = {
      ...parts,
      events: {
        attempted: (decision, result) =>
          parts.metrics.add('shunt_proxy_connect_attempts_total', { service: decision.service, result }),
        connected: (flow, decision, endpoint) => this.#remember(flow, decision, endpoint),
        ended: (session, reason) => this.#ended(session, reason),
      },
    }
  }

  /** Connections since the start. */
  get accepted(): number {
    return this.#accepted
  }

  /** By reason, since the start. */
  refused(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#refused)
  }

  /** From now on everything is refused as `draining`. */
  close(): void {
    this.#closed = true
  }

  /** Owns the socket from here on. It must be paused and allow half-open. */
  take(socket: Socket, destination: Destination): void {
    this.#accepted++
    const ip = socketIp(socket.remoteAddress)
    const port = socket.remotePort
    if (ip === undefined || !isPort(port)) {
      // Reset by its client before it was accepted: it has no address any more.
      socket.on('error', () => {})
      resetSocket(socket)
      this.#count('gone')
      return
    }
    if (destination.kind === 'unknown') {
      socket.on('error', () => {})
      resetSocket(socket)
      this.#refuse('no-destination', { client: ip, because: destination.because })
      return
    }
    this.#begin(socket, {
      client: { ip, port },
      destination: { ip: destination.ip, port: destination.port },
    })
  }

  #begin(socket: Socket, flow: Flow): void {
    const parts = this.#parts
    const view = parts.view()
    const made = decide(
      flow,
      view,
      {
        nowMs: parts.clock.monotonicMs(),
        affinity: this.affinity,
        local: parts.local,
        listenerPort: parts.listenerPort,
        openConnections: parts.sessions.size,
        maxConnections: parts.maxConnections,
        draining: this.#closed,
        traffic: this.#traffic,
      },
      parts.random,
    )
    const decision = withTimeouts(made, parts.timeouts)
    const session = new Session(parts.sessions.newId(), flow, socket, this.#sessionParts)
    parts.sessions.add(session)
    parts.metrics.set('shunt_proxy_connections_active', parts.sessions.size)
    if (decision.kind === 'connect') {
      parts.metrics.add('shunt_proxy_connections_total', { service: decision.service })
      // At once, so that a second connection of the client does not choose again while the first still connects.
      const [first] = decision.candidates
      if (first !== undefined) this.#remember(flow, decision, first)
    }
    if (decision.kind === 'refuse') this.#refuse(decision.because, refusalFields(flow, decision))
    session.begin(decision, view)
  }

  #remember(flow: Flow, decision: ConnectDecision, endpoint: ViewEndpoint): void {
    const { affinitySeconds, service } = decision
    if (affinitySeconds === undefined) return
    this.affinity.remember(
      service,
      flow.client.ip,
      endpoint,
      affinitySeconds,
      this.#parts.clock.monotonicMs(),
    )
  }

  #ended(session: Session, reason: EndReason): void {
    const { sessions, metrics, log } = this.#parts
    const record = session.record()
    // Self-tests come all the time and would drive everything else out of the list.
    sessions.end(session.id, reason.kind === 'selftest' ? undefined : record)
    metrics.set('shunt_proxy_connections_active', sessions.size)
    if (record.service !== null) {
      const service = record.service
      metrics.add('shunt_proxy_bytes_total', { service, direction: 'from_client' }, record.fromClientBytes)
      metrics.add(
        'shunt_proxy_bytes_total',
        { service, direction: 'from_endpoint' },
        record.fromEndpointBytes,
      )
    }
    if (reason.kind === 'refused') return
    if (reason.kind === 'unreachable' || reason.kind === 'deadline')
      this.#gate.pass(`${reason.kind} ${record.service ?? ''}`, (suppressed) =>
        log.info({ ...record, suppressed }, `connection failed: ${endText(reason)}`),
      )
    else log.debug(record, `connection ended: ${endText(reason)}`)
  }

  #refuse(because: string, fields: object): void {
    this.#count(because)
    this.#gate.pass(because, (suppressed) =>
      this.#parts.log.info({ ...fields, suppressed }, `connection refused: ${because}`),
    )
  }

  #count(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
    this.#parts.metrics.add('shunt_proxy_refused_total', { reason })
  }
}

/** Those of the process, where no policy says otherwise. */
function withTimeouts(made: Decision, { connectTimeoutMs, deadlineMs }: ConnectTimeouts): Decision {
  if (made.kind !== 'connect' || made.policy !== DEFAULT_CONNECTION_POLICY) return made
  const connect = { ...made.policy.connect, attemptTimeoutMs: connectTimeoutMs, deadlineMs }
  return { ...made, policy: { ...made.policy, connect } }
}

function refusalFields(flow: Flow, decision: RefuseDecision): object {
  const { client, destination } = flow
  return { client, destination, because: decision.because, why: decision.why }
}
