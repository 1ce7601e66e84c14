// A proxy put together from its parts, without knowing how the kernel was asked: listeners, heartbeat and dialer come
// from outside, so that tests run the very same on loopback. Its life: start, serve, drain, closed.

import type { Socket } from 'node:net'
import type { Heartbeat } from '../kernel/heartbeat.ts'
import { selfTestAnswer } from '../kernel/steer-socket.ts'
import type { Clock, Random } from '../model/clock.ts'
import { hostPort, parseIp } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_S } from '../model/steering-names.ts'
import type { ProxyConnections, ProxyStatus } from './admin-shapes.ts'
import { CurrentView } from './current-view.ts'
import type { ProxyView } from './decision/view.ts'
import { HeartbeatLoop } from './heartbeat-loop.ts'
import { Intake, type Destination } from './intake.ts'
import { LastView, loadLastView } from './last-view.ts'
import { startListener, type Listener, type ListenerSource } from './listener.ts'
import { interfaceAddresses } from './local-addresses.ts'
import { DEFAULT_CONNECT_TIMEOUTS, DEFAULT_DRAIN_MS, type ProxyOptions } from './options.ts'
import { DEFAULT_PUMP_LIMITS } from './pump/pump.ts'
import { createStreamPump } from './pump/stream-pump.ts'
import { Sessions } from './sessions.ts'
import type { Dialer } from './upstream.ts'
import { ViewClient } from './view-client.ts'

export interface ProxyParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly pid: number
  readonly listeners: readonly ListenerSource[]
  readonly originalDestination: (socket: Socket) => Destination
  readonly dialer: Dialer
  readonly heartbeat: Heartbeat
  readonly skLookup: boolean
  /** What it does without, as sentences. */
  readonly degraded: () => readonly string[]
  readonly uid: () => number
}

/** Late arrivals: their first packet was steered before the last heartbeat ended. */
const DRAIN_GRACE_MS = HEARTBEAT_TIMEOUT_S * 1_000 + 250
/** A list of all would stop the event loop for longer than a heartbeat may be late. */
const LISTED_CONNECTIONS = 10_000
/** What an agent that is there takes to send its view. */
const FIRST_VIEW_WAIT_MS = 1_000
const SWEEP_INTERVAL_MS = 60_000

export class RunningProxy {
  readonly #options: ProxyOptions
  readonly #parts: ProxyParts
  readonly #current = new CurrentView()
  readonly #sessions = new Sessions()
  readonly #intake: Intake
  readonly #heartbeat: HeartbeatLoop
  readonly #viewClient: ViewClient
  readonly #lastView: LastView
  readonly #maxConnections: number
  readonly #startedAtMs: number
  readonly #hurry = Promise.withResolvers<void>()
  /** It gave a view, or there is no agent to talk to. */
  readonly #agentSpoke = Promise.withResolvers<void>()
  #listeners: readonly Listener[] = []
  #state: Exclude<ProxyStatus['state'], 'waiting'> = 'starting'
  #cancelSweep: (() => void) | undefined
  #drained: Promise<void> | undefined

  constructor(options: ProxyOptions, maxConnections: number, parts: ProxyParts) {
    this.#options = options
    this.#parts = parts
    this.#maxConnections = maxConnections
    this.#startedAtMs = parts.clock.wallMs()
    this.#intake = new Intake({
      ...parts,
      sessions: this.#sessions,
      local: interfaceAddresses(parts.clock),
      view: () => this.#current.view,
      timeouts: options.timeouts ?? DEFAULT_CONNECT_TIMEOUTS,
      limits: options.limits ?? DEFAULT_PUMP_LIMITS,
      maxConnections,
      listenerPort: options.port,
      pump: createStreamPump(parts.clock),
      selfTestAnswer: () => selfTestAnswer(parts.pid, this.#current.view?.generation ?? 0),
    })
    this.#heartbeat = new HeartbeatLoop(parts.heartbeat, {
      ...parts,
      log: parts.log.child({ component: 'heartbeat' }),
      hindrance: () => this.#hindrance(),
      intervalMs: HEARTBEAT_INTERVAL_MS,
    })
    this.#viewClient = new ViewClient(
      { path: options.paths.viewSocket, skLookup: parts.skLookup, pid: parts.pid },
      {
        ...parts,
        log: parts.log.child({ component: 'view' }),
        current: this.#current,
        lost: () => this.#agentSpoke.resolve(),
      },
    )
    this.#lastView = new LastView(options.paths.lastView, parts.clock, parts.log)
  }

  /** Accepts from now on; without a view it refuses, and without a heartbeat nobody comes. */
  async listen(): Promise<void> {
    this.#listeners = await Promise.all(
      this.#parts.listeners.map((source) =>
        startListener(source, {
          ...this.#parts,
          take: (socket, destination) => this.#intake.take(socket, destination),
          acceptFailed: (error) =>
            this.#parts.metrics.add('shunt_proxy_refused_total', {
              reason: `accept ${error.code ?? 'failed'}`,
            }),
        }),
      ),
    )
  }

  /** Takes the last view from disk, talks to the agent, and lets the kernel steer. */
  async serve(): Promise<void> {
    const { log } = this.#parts
    const loaded = await loadLastView(this.#options.paths.lastView)
    if (loaded.kind === 'bad')
      log.warn(
        { path: this.#options.paths.lastView, reasons: loaded.reasons },
        'the last view cannot be used',
      )
    if (loaded.kind === 'loaded') {
      const { epoch, generation } = loaded.view
      this.#use(loaded.view)
      this.#current.set(loaded.view, 'disk')
      log.info({ epoch, generation }, 'serving the last view until the agent gives another')
    }
    this.#current.onChange((view) => {
      this.#use(view)
      this.#lastView.save(view)
      this.#agentSpoke.resolve()
    })
    this.#state = 'serving'
    this.#viewClient.start()
    // While no proxy was there the agent may have let the kernel steer what the view from disk does not know.
    await this.#wait(FIRST_VIEW_WAIT_MS, this.#agentSpoke.promise)
    this.#heartbeat.start()
    this.#sweepLater()
  }

  view(): ProxyView | undefined {
    return this.#current.view
  }

  connections(): ProxyConnections {
    const live = this.#sessions.live(LISTED_CONNECTIONS)
    const liveOmitted = this.#sessions.size - live.length
    return { live, ended: this.#sessions.recent(), ...(liveOmitted === 0 ? {} : { liveOmitted }) }
  }

  status(): ProxyStatus {
    const view = this.#current.view
    return {
      pid: this.#parts.pid,
      version: this.#options.version,
      state: this.#state === 'serving' && !this.#heartbeat.status.beating ? 'waiting' : this.#state,
      degraded: this.#degraded(),
      startedAtMs: this.#startedAtMs,
      uid: this.#parts.uid(),
      view:
        view === undefined
          ? null
          : {
              epoch: view.epoch,
              generation: view.generation,
              source: this.#current.source,
              frontends: Object.keys(view.frontends).length,
              services: Object.keys(view.services).length,
            },
      agentConnected: this.#viewClient.connected,
      skLookup: this.#parts.skLookup,
      listeners: [
        ...new Set(
          this.#listeners.map(({ address }) => {
            const ip = parseIp(address.ip)
            return ip === undefined ? `${address.ip}:${address.port}` : hostPort(ip, address.port)
          }),
        ),
      ],
      heartbeat: this.#heartbeat.status,
      connections: {
        open: this.#sessions.size,
        max: this.#maxConnections,
        accepted: this.#intake.accepted,
        refused: this.#intake.refused(),
      },
      affinityRecords: this.#intake.affinity.size,
    }
  }

  /**
   * Leaves the path, serves who was steered already, waits for connections to end, resets the rest. A second call
   * waits no longer. Resolves when everything is closed.
   */
  drain(): Promise<void> {
    if (this.#drained === undefined) this.#drained = this.#drain()
    else this.#hurry.resolve()
    return this.#drained
  }

  async #drain(): Promise<void> {
    const { log } = this.#parts
    this.#state = 'draining'
    this.#heartbeat.stop()
    log.info({ connections: this.#sessions.size }, 'draining: new connections go through the kernel')
    await this.#wait(DRAIN_GRACE_MS)
    this.#intake.close()
    for (const listener of this.#listeners) listener.close()
    await this.#wait(this.#options.drainMs ?? DEFAULT_DRAIN_MS, this.#sessions.empty())
    const left = this.#sessions.size
    if (left > 0) log.warn({ connections: left }, 'connections that did not end in time are reset')
    this.#sessions.stopAll()
    this.#cancelSweep?.()
    this.#viewClient.close()
    await this.#lastView.flush()
    this.#parts.dialer.close()
    this.#parts.heartbeat.close()
    log.info({}, 'drained')
  }

  /** Until the time is over, or the other thing happens, or somebody is in a hurry. */
  async #wait(ms: number, ...others: readonly Promise<void>[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#parts.clock.after(ms, resolve)
    await Promise.race([promise, this.#hurry.promise, ...others])
    cancel()
  }

  #use(view: ProxyView): void {
    this.#parts.metrics.set('shunt_view_generation', view.generation)
  }

  #hindrance(): string | undefined {
    if (this.#state === 'draining') return 'it stops'
    if (this.#listeners.length === 0 || this.#listeners.some((listener) => !listener.listening))
      return 'a listener is closed'
    return this.#current.view === undefined ? 'no view was loaded yet' : undefined
  }

  #degraded(): readonly string[] {
    return [
      ...this.#parts.degraded(),
      ...(this.#viewClient.connected ? [] : ['the agent is not connected']),
      ...(this.#lastView.problem === '' ? [] : [`the last view cannot be saved: ${this.#lastView.problem}`]),
    ]
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#parts.clock.after(SWEEP_INTERVAL_MS, () => {
      this.#intake.affinity.sweep(this.#parts.clock.monotonicMs())
      this.#sweepLater()
    })
  }
}
