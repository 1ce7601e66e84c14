// The workers: one engine each, the listening sockets shared out among them, and the watch over them. An engine that
// stopped going round leaves connections waiting in the queues of its listeners; another one accepts from them until it
// is back. An engine whose thread ended is replaced.

import type { Fd } from '../kernel/native-types.ts'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { Metrics, ScrapedMetrics } from '../model/metrics.ts'
import { HEARTBEAT_INTERVAL_MS } from '../model/steering-names.ts'
import type { WorkerStatus } from './admin-shapes.ts'
import type { Engine } from './engine/engine.ts'
import { LogGate } from './log-gate.ts'
import { Shortages } from './shortages.ts'
import { Worker } from './worker.ts'

export interface WorkersParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** How many; at least 1. */
  readonly count: number
  /** Listening, one family after the other; in turn each worker's. They stay the caller's. */
  readonly listeners: readonly Fd[]
  /** Throws if no engine can be had. */
  readonly makeEngine: (worker: Worker) => Engine
  /** Ends the connections of a worker whose engine is lost. */
  readonly lose: (worker: Worker) => void
}

/** An engine that goes round less often than this keeps connections waiting that another could serve. */
export const STALL_MS = 1_000

export class Workers {
  readonly #parts: WorkersParts
  readonly #gate: LogGate
  readonly #shortages: Shortages
  #posts: readonly Post[] = []
  #listeners: readonly Listener[] = []
  #cancelLook: (() => void) | undefined
  #lookedAtMs = 0

  constructor(parts: WorkersParts) {
    this.#parts = parts
    this.#gate = new LogGate(parts.clock)
    this.#shortages = new Shortages(parts.clock, parts.log)
  }

  /** Makes the engines, which accept from now on. Throws if one cannot be had; then there are none. */
  start(): void {
    const { count, listeners, makeEngine } = this.#parts
    const posts: Post[] = []
    try {
      for (let number = 0; number < count; number++)
        posts.push({ worker: new Worker(number, makeEngine), state: 'healthy' })
    } catch (error) {
      for (const { worker } of posts) worker.engine.close()
      throw error
    }
    this.#posts = posts
    this.#listeners = listeners.flatMap((fd, at) => {
      const owner = posts[at % count]
      return owner === undefined ? [] : [{ fd, owner, lentTo: undefined }]
    })
    for (const { fd, owner } of this.#listeners) owner.worker.engine.addListener(fd)
    this.#lookedAtMs = this.#parts.clock.monotonicMs()
    this.#lookLater()
  }

  /** How many accept now. */
  get healthy(): number {
    return this.#posts.filter(({ state }) => state === 'healthy').length
  }

  /** As sentences; empty: all of them go round. */
  problems(): readonly string[] {
    return this.#posts.flatMap(({ worker, state }) =>
      state === 'healthy' ? [] : [`worker ${worker.number} ${state === 'stalled' ? 'is stuck' : 'is lost'}`],
    )
  }

  status(): readonly WorkerStatus[] {
    return this.#posts.map(({ worker, state }) => {
      const { kind, pipes, counters } = worker.engine.status()
      const { number, accepted, connections } = worker
      return { number, state, relay: kind, connections: connections.size, accepted, pipes, counters }
    })
  }

  publish(metrics: ScrapedMetrics): void {
    for (const { number, connections, pipes, counters } of this.status()) {
      const worker = String(number)
      metrics.set('shunt_proxy_worker_connections', connections, { worker })
      metrics.set('shunt_proxy_worker_pipes', pipes, { worker })
      for (const [what, value] of Object.entries(counters))
        metrics.total('shunt_proxy_worker_counts_total', value, { worker, what })
    }
  }

  /**
   * Accepts no more; connections in the queues of the listeners stay there for whoever else has these sockets. Resolves
   * with true when no engine can accept any more, with false if one did not answer within a second.
   */
  async stopAccepting(): Promise<boolean> {
    const stopped = this.#listeners.flatMap(({ fd, owner, lentTo }) => [
      owner.worker.engine.removeListener(fd),
      ...(lentTo === undefined ? [] : [lentTo.worker.engine.removeListener(fd)]),
    ])
    this.#listeners = []
    const late = Promise.withResolvers<false>()
    const cancel = this.#parts.clock.after(STALL_MS, () => late.resolve(false))
    const all = Promise.all(stopped).then(() => true)
    const answer = await Promise.race([all, late.promise])
    cancel()
    return answer
  }

  /** Resets what is open. */
  close(): void {
    this.#cancelLook?.()
    for (const { worker } of this.#posts) worker.engine.close()
    this.#posts = []
    this.#listeners = []
  }

  #lookLater(): void {
    this.#cancelLook = this.#parts.clock.after(HEARTBEAT_INTERVAL_MS, () => {
      this.#look()
      this.#lookLater()
    })
  }

  #look(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    // After a pause of this thread, what it last heard of the others is old.
    const paused = nowMs - this.#lookedAtMs > 2 * HEARTBEAT_INTERVAL_MS
    this.#lookedAtMs = nowMs
    for (const post of this.#posts) {
      const failure = post.worker.engine.failure?.()
      if (failure !== undefined) this.#replace(post, failure)
      else if (!paused) this.#judge(post, nowMs - post.worker.engine.lastTurnMs())
    }
    for (const listener of this.#listeners) this.#lend(listener)
    for (const { worker } of this.#posts) this.#shortages.look(worker)
  }

  #judge(post: Post, silentMs: number): void {
    const state = silentMs > STALL_MS ? 'stalled' : 'healthy'
    if (state === post.state) return
    post.state = state
    const { log, metrics } = this.#parts
    const worker = post.worker.number
    if (state === 'healthy') return log.info({ worker }, 'a worker goes round again')
    metrics.add('shunt_proxy_worker_stalls_total', { worker: String(worker) })
    log.error(
      { worker, silentMs: Math.round(silentMs), connections: post.worker.connections.size },
      'a worker is stuck: its connections stand still, new ones go to the other workers',
    )
  }

  #replace(post: Post, because: string): void {
    const { log, metrics, lose, makeEngine } = this.#parts
    const { number, connections, engine } = post.worker
    if (post.state !== 'lost') {
      metrics.add('shunt_proxy_worker_losses_total', { worker: String(number) })
      log.error(
        { worker: number, because, connections: connections.size },
        'the thread of a worker ended, its connections are lost; it is replaced',
      )
      post.state = 'lost'
      lose(post.worker)
      engine.close()
      for (const listener of this.#listeners) if (listener.lentTo === post) listener.lentTo = undefined
    }
    try {
      post.worker = new Worker(number, makeEngine)
    } catch (error) {
      this.#gate.pass(`replace ${number}`, (suppressed) =>
        log.error(
          { worker: number, because: messageOf(error), suppressed },
          'a worker cannot be replaced; the others serve its listeners, and it is tried again',
        ),
      )
      return
    }
    for (const { fd, owner } of this.#listeners) if (owner === post) post.worker.engine.addListener(fd)
    post.state = 'healthy'
  }

  /** To another worker while the owner cannot accept, and back. */
  #lend(listener: Listener): void {
    const { fd, owner, lentTo } = listener
    if (lentTo !== undefined && (owner.state === 'healthy' || lentTo.state !== 'healthy')) {
      if (lentTo.state !== 'lost') void lentTo.worker.engine.removeListener(fd)
      listener.lentTo = undefined
    }
    if (owner.state === 'healthy' || listener.lentTo !== undefined) return
    // Workers may share a socket; then the others have it already.
    if (this.#listeners.some((each) => each.fd === fd && each.owner.state === 'healthy')) return
    const lender = this.#posts.find(({ state }) => state === 'healthy')
    lender?.worker.engine.addListener(fd)
    listener.lentTo = lender
  }
}

interface Post {
  worker: Worker
  state: WorkerStatus['state']
}

interface Listener {
  readonly fd: Fd
  readonly owner: Post
  lentTo: Post | undefined
}
