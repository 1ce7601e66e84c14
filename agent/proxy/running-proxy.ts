// A proxy put together from its parts, without knowing how the kernel was asked: listeners, engines and heartbeat come
// from outside, so that tests run the very same without a kernel. Its life: prepare, begin, then drain, or retire to a
// successor and drain.

import type { Heartbeat } from '../kernel/heartbeat.ts'
import type { Fd } from '../kernel/native-types.ts'
import { selfTestAnswer, type ListeningSocket } from '../kernel/steer-socket.ts'
import type { Clock, Random } from '../model/clock.ts'
import { ShuntError } from '../model/errors.ts'
import { FAMILIES } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics, ScrapedMetrics } from '../model/metrics.ts'
import { HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_S } from '../model/steering-names.ts'
import type { ConnectionRecord, ProxyConnections, ProxyStatus } from './admin-shapes.ts'
import { recordOf } from './connection-record.ts'
import { ConnectionTable } from './connection-table.ts'
import { CurrentView } from './current-view.ts'
import { AffinityTable } from './decision/affinity.ts'
import type { Memory } from './decision/handover-state.ts'
import { Traffic } from './decision/traffic.ts'
import type { ProxyView } from './decision/view.ts'
import { endpointStates, publishEjected, type ProxyEndpoints } from './endpoint-states.ts'
import type { Engine, EngineEvents } from './engine/engine.ts'
import type { DrainingProxy } from './handover/draining-proxies.ts'
import { learn, tellState, toldView } from './handover/told-state.ts'
import { HeartbeatLoop } from './heartbeat-loop.ts'
import { Intake } from './intake.ts'
import { Journal } from './journal.ts'
import { LastView, loadLastView } from './last-view.ts'
import { Leaving } from './leaving.ts'
import { interfaceAddresses } from './local-addresses.ts'
import { DEFAULT_DRAIN_MS, type ProxyOptions } from './options.ts'
import { ViewClient } from './view-client.ts'
import { Workers } from './workers.ts'

export interface ProxyParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
  readonly pid: number
  /** Listening already; it owns them from here on. */
  readonly sockets: readonly ListeningSocket[]
  readonly closeSocket: (fd: Fd) => void
  readonly workers: number
  readonly makeEngine: (events: EngineEvents) => Engine
  readonly maxConnections: number
  readonly heartbeat: Heartbeat
  readonly skLookup: boolean
  readonly accessLog?: (record: ConnectionRecord) => void
  /** What it does without, as sentences. */
  readonly degraded: () => readonly string[]
  readonly uid: () => number
  /** Those that handed over and still have connections. */
  readonly predecessors: () => readonly DrainingProxy[]
}

/** Late arrivals: their first packet was steered before the last heartbeat ended. */
const DRAIN_GRACE_MS = HEARTBEAT_TIMEOUT_S * 1_000 + 250
/** A list of all would stop the event loop for longer than a heartbeat may be late. */
const LISTED_CONNECTIONS = 10_000
/** What an agent that is there takes to send its view. */
const FIRST_VIEW_WAIT_MS = 1_000
const SWEEP_INTERVAL_MS = 60_000
/** Engines tell of connections that were reset a moment later. */
const LAST_WORDS_MS = 1_000

export class RunningProxy {
  readonly #options: ProxyOptions
  readonly #parts: ProxyParts
  readonly #current = new CurrentView()
  readonly #table = new ConnectionTable()
  readonly #affinity = new AffinityTable()
  readonly #traffic = new Traffic()
  readonly #journal: Journal
  readonly #intake: Intake
  readonly #workers: Workers
  readonly #heartbeat: HeartbeatLoop
  readonly #viewClient: ViewClient
  readonly #lastView: LastView
  readonly #startedAtMs: number
  readonly #leaving: Leaving
  /** It gave a view, or there is no agent to talk to. */
  readonly #agentSpoke = Promise.withResolvers<void>()
  #state: Exclude<ProxyStatus['state'], 'waiting'> = 'starting'
  #cancelSweep: (() => void) | undefined
  /** A successor serves, and nobody asked this one to stop since. */
  #handedOver = false
  #drained: Promise<void> | undefined

  constructor(options: ProxyOptions, parts: ProxyParts) {
    this.#options = options
    this.#parts = parts
    this.#startedAtMs = parts.clock.wallMs()
    this.#leaving = new Leaving(parts.clock)
    this.#journal = new Journal({ ...parts, endpointMetrics: options.endpointMetrics ?? 0 })
    const intake = new Intake({
      ...parts,
      table: this.#table,
      journal: this.#journal,
      affinity: this.#affinity,
      traffic: this.#traffic,
      local: interfaceAddresses(parts.clock),
      view: () => this.#current.view,
      listenerPort: options.port,
      selfTestAnswer: () => selfTestAnswer(parts.pid, this.#current.view?.generation ?? 0),
    })
    this.#intake = intake
    this.#workers = new Workers({
      ...parts,
      log: parts.log.child({ component: 'workers' }),
      count: parts.workers,
      listeners: shareOut(parts.sockets, parts.workers),
      makeEngine: (worker) => parts.makeEngine(intake.events(worker)),
      lose: (worker) => intake.lose(worker),
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

  /**
   * Takes the last view from disk and talks to the agent; connections wait in the queues of the listeners. `told`: what a
   * predecessor told of itself. Throws HANDOVER_FAILED if that one has a view and this one finds none.
   */
  async prepare(told: readonly unknown[] = []): Promise<void> {
    const { log, clock } = this.#parts
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
    this.#viewClient.start()
    const known = toldView(told)
    const have = this.#current.view
    // While no proxy was there the agent may have let the kernel steer what the view from disk does not know.
    if (known === undefined || have?.epoch !== known.epoch || have.generation !== known.generation)
      await this.#leaving.wait(FIRST_VIEW_WAIT_MS, this.#agentSpoke.promise)
    const view = this.#current.view
    if (view !== undefined && told.length > 0)
      log.info(learn(told, this.#memory, view, clock.monotonicMs()), 'took over what the predecessor learnt')
    if (view === undefined && known !== undefined)
      throw new ShuntError('HANDOVER_FAILED', 'the running proxy has a view, and this one finds none', {
        hint: 'look at the agent, and at the file of the last view; the running proxy goes on',
      })
  }

  /** Accepts, and lets the kernel steer. Threads inherit what this one may do: root is given up before. Throws what an
   * engine throws that cannot be had. */
  begin(): void {
    this.#workers.start()
    this.#state = 'serving'
    this.#heartbeat.start()
    this.#sweepLater()
  }

  view(): ProxyView | undefined {
    return this.#current.view
  }

  connections(): ProxyConnections {
    const { clock } = this.#parts
    const live = this.#table.live(LISTED_CONNECTIONS)
    const liveOmitted = this.#table.size - live.length
    return {
      live: live.map((connection) => recordOf(connection, clock)),
      ended: this.#table.ended().map((connection) => recordOf(connection, clock)),
      ...(liveOmitted === 0 ? {} : { liveOmitted }),
    }
  }

  endpoints(): ProxyEndpoints {
    return endpointStates(this.#traffic, this.#parts.clock.monotonicMs())
  }

  status(): ProxyStatus {
    const view = this.#current.view
    const { port } = this.#options
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
      listeners: FAMILIES.filter((each) => this.#parts.sockets.some(({ family }) => family === each)).map(
        (family) => (family === 'IPv4' ? `0.0.0.0:${port}` : `[::]:${port}`),
      ),
      heartbeat: this.#heartbeat.status,
      connections: {
        open: this.#table.size,
        max: this.#parts.maxConnections,
        accepted: this.#intake.accepted,
        refused: this.#journal.refusals(),
      },
      affinityRecords: this.#affinity.size,
      workers: this.#workers.status(),
      predecessors: this.#parts.predecessors(),
    }
  }

  /** Metrics that are asked for rather than kept. */
  publish(metrics: ScrapedMetrics): void {
    publishEjected(this.#traffic, metrics, this.#parts.clock.monotonicMs())
    this.#journal.publish(metrics, this.#table, this.#current.view)
    this.#workers.publish(metrics)
  }

  /** For a successor, who gets copies. */
  listenerFds(): readonly ListeningSocket[] {
    return this.#parts.sockets
  }

  /** For a successor: plain JSON, in parts of which none takes long to write. */
  tellState(): Iterable<unknown> {
    return tellState(this.#current.view, this.#memory, this.#parts.clock.monotonicMs())
  }

  /** How it drains; `untilMs` null: as long as it takes. undefined: it does not. */
  draining():
    | { readonly connections: number; readonly sinceMs: number; readonly untilMs: number | null }
    | undefined {
    const { status } = this.#leaving
    return status === undefined ? undefined : { connections: this.#table.size, ...status }
  }

  /**
   * A successor serves on copies of the listeners, and beats: accepts no more, and leaves to it what waits in their
   * queues, the kernel's sets and the agent. Connections live on until the time is over (undefined: as long as they
   * last), or, after drain() was called, for as long as at any stop. Resolves when everything is closed.
   */
  retire(drainMs: number | undefined): Promise<void> {
    this.#drained ??= this.#retire(drainMs)
    return this.#drained
  }

  /**
   * Leaves the path, serves who was steered already, waits for connections to end, resets the rest. A second call
   * waits no longer. Resolves when everything is closed.
   */
  drain(): Promise<void> {
    if (this.#drained === undefined) this.#drained = this.#drain()
    else if (this.#handedOver) {
      this.#handedOver = false
      this.#leaving.ask()
    } else this.#leaving.hurry()
    return this.#drained
  }

  /** It could not begin: closes what it has opened, without a word to the kernel. */
  abandon(): void {
    this.#heartbeat.cede()
    this.#viewClient.close()
    this.#workers.close()
    this.#parts.heartbeat.close()
  }

  async #retire(drainMs: number | undefined): Promise<void> {
    const { log } = this.#parts
    this.#handedOver = true
    this.#startDraining(drainMs)
    log.info({ connections: this.#table.size }, 'a successor serves; what is open here lives on')
    this.#heartbeat.cede()
    this.#viewClient.close()
    await this.#closeListeners()
    await this.#leaving.wait(drainMs, this.#table.empty(), this.#leaving.asked)
    if (!this.#handedOver) {
      this.#startDraining(this.#drainMs)
      await this.#leaving.wait(this.#drainMs, this.#table.empty())
    }
    await this.#end()
  }

  async #drain(): Promise<void> {
    const { log } = this.#parts
    this.#startDraining(this.#drainMs)
    log.info({ connections: this.#table.size }, 'draining: new connections do not come here any more')
    this.#heartbeat.stop()
    await this.#leaving.wait(DRAIN_GRACE_MS)
    this.#intake.close()
    await this.#closeListeners()
    await this.#leaving.wait(this.#drainMs, this.#table.empty())
    await this.#end()
  }

  async #end(): Promise<void> {
    const { log, clock } = this.#parts
    const left = this.#table.size
    if (left > 0) log.warn({ connections: left }, 'connections that did not end in time are reset')
    this.#table.forEachLive(({ worker, id }) => worker.engine.abort(id))
    const silence = Promise.withResolvers<void>()
    const cancel = clock.after(LAST_WORDS_MS, silence.resolve)
    await Promise.race([this.#table.empty(), silence.promise])
    cancel()
    this.#cancelSweep?.()
    this.#workers.close()
    this.#viewClient.close()
    await this.#lastView.flush()
    this.#parts.heartbeat.close()
    log.info({}, 'drained')
  }

  get #drainMs(): number {
    return this.#options.drainMs ?? DEFAULT_DRAIN_MS
  }

  #startDraining(drainMs: number | undefined): void {
    this.#state = 'draining'
    this.#leaving.begin(drainMs)
  }

  async #closeListeners(): Promise<void> {
    // An engine that is stuck may still look at its listeners; then they stay open until the process ends.
    if (!(await this.#workers.stopAccepting())) return
    for (const { fd } of this.#parts.sockets) this.#parts.closeSocket(fd)
  }

  get #memory(): Memory {
    return { traffic: this.#traffic, affinity: this.#affinity }
  }

  #use(view: ProxyView): void {
    this.#traffic.prune(view, this.#parts.clock.monotonicMs())
    this.#parts.metrics.set('shunt_view_generation', view.generation)
  }

  #hindrance(): string | undefined {
    if (this.#state === 'draining') return 'it stops'
    if (this.#workers.healthy === 0) return 'no worker goes round'
    return this.#current.view === undefined ? 'no view was loaded yet' : undefined
  }

  #degraded(): readonly string[] {
    return [
      ...this.#parts.degraded(),
      ...this.#workers.problems(),
      ...(this.#viewClient.connected ? [] : ['the agent is not connected']),
      ...(this.#lastView.problem === '' ? [] : [`the last view cannot be saved: ${this.#lastView.problem}`]),
    ]
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#parts.clock.after(SWEEP_INTERVAL_MS, () => {
      this.#affinity.sweep(this.#parts.clock.monotonicMs())
      this.#sweepLater()
    })
  }
}

/**
 * One family after the other, so that each worker gets its share of either. Where a predecessor had fewer workers, some
 * share a socket.
 */
function shareOut(sockets: readonly ListeningSocket[], workers: number): readonly Fd[] {
  return FAMILIES.flatMap((wanted) => {
    const fds = sockets.filter(({ family }) => family === wanted).map(({ fd }) => fd)
    if (fds.length === 0) return []
    return Array.from({ length: Math.max(fds.length, workers) }, (_, at) => fds[at % fds.length] as Fd)
  })
}
