// The running proxy's end of the hand-over socket: tells callers apart, does what predecessor-state.ts says, and reports
// how it drains once it has retired.

import { createServer, type Server, type Socket } from 'node:net'
import type { FdPassing } from '../../kernel/fd-passing.ts'
import type { Fd } from '../../kernel/native-types.ts'
import { fdOf } from '../../kernel/original-destination.ts'
import type { Clock } from '../../model/clock.ts'
import { messageOf, ShuntError } from '../../model/errors.ts'
import type { Log } from '../../model/log.ts'
import type { Metrics } from '../../model/metrics.ts'
import { JsonLines } from '../json-lines.ts'
import {
  HANDOVER_VERSION,
  successorMessage,
  type DrainingReport,
  type PredecessorMessage,
  type SocketName,
} from './messages.ts'
import {
  stepPredecessor,
  type CallerId,
  type PredecessorEffect,
  type PredecessorEvent,
  type PredecessorState,
} from './predecessor-state.ts'

/** A socket that is passed on, under its name. */
export interface NamedSocket {
  readonly name: SocketName
  readonly fd: Fd
}

export interface HandoverServerParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly fdPassing: FdPassing
  readonly pid: number
  /** Inode of this process's network namespace. */
  readonly netns: number
  /** Who may take over. */
  readonly uids: readonly number[]
  /** Everything that the successor gets; copies of it. */
  readonly sockets: () => readonly NamedSocket[]
  /** What the successor should know, as JSON values of which none takes long to write; made one after the other. */
  readonly state: () => Iterable<unknown>
  /** Called once, when a successor serves: accept no more. */
  readonly retire: () => void
  /** Since when it drains, and until when at most. */
  readonly drain: () => Omit<DrainingReport, 'kind' | 'pid'>
}

/** The longest list of names is far shorter than a message may be. */
const SOCKETS_PER_MESSAGE = 200
/** A caller that has nothing to say by then is sent away. */
const HELLO_TIMEOUT_MS = 5_000
const MAX_CALLERS = 16
const REPORT_INTERVAL_MS = 1_000

export class HandoverServer {
  readonly #parts: HandoverServerParts
  readonly #server: Server
  readonly #callers = new Map<CallerId, Socket>()
  #state: PredecessorState = { kind: 'serving' }
  #nextCaller = 1
  #disarm = (): void => {}
  #cancelReport = (): void => {}

  constructor(parts: HandoverServerParts) {
    this.#parts = parts
    this.#server = createServer((socket) => this.#called(socket))
    this.#server.maxConnections = MAX_CALLERS
  }

  /** Takes callers from a listening Unix socket, which it owns from here on. Rejects with what the system said. */
  async listen(fd: Fd): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen({ fd }, resolve)
    await promise
    this.#server.off('error', reject)
    this.#server.on('error', (error) =>
      this.#parts.log.warn({ error }, 'the hand-over socket reported an error'),
    )
  }

  /** This process was told to stop: nobody takes over any more, unless somebody is at it beyond return. */
  stop(): void {
    this.#step({ kind: 'stop' })
  }

  /** Closes everything; the file stays, for whoever listens on it. */
  close(): void {
    this.#disarm()
    this.#cancelReport()
    this.#server.close()
    for (const socket of this.#callers.values()) socket.destroy()
  }

  #called(socket: Socket): void {
    const { clock, log } = this.#parts
    const caller = this.#nextCaller++
    const refusal = this.#stranger(socket)
    if (refusal !== undefined) {
      log.warn({ because: refusal }, 'a caller of the hand-over socket was sent away')
      socket.destroy()
      return
    }
    this.#callers.set(caller, socket)
    const lines = new JsonLines()
    const cancelHello = clock.after(HELLO_TIMEOUT_MS, () =>
      this.#step({ kind: 'broken', by: caller, because: 'it said no hello' }),
    )
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      for (const line of lines.push(String(text))) {
        cancelHello()
        const message = line.kind === 'json' ? successorMessage(line.value) : line.because
        if (typeof message === 'string') this.#step({ kind: 'broken', by: caller, because: message })
        else if (message.kind === 'hello')
          this.#step({
            kind: 'greeted',
            by: caller,
            hello: message,
            here: message.netns === this.#parts.netns,
          })
        else this.#step({ kind: 'said', by: caller, message })
      }
    })
    socket.on('error', (error) => log.debug({ error }, 'a successor went away'))
    socket.once('close', () => {
      cancelHello()
      this.#callers.delete(caller)
      this.#step({ kind: 'gone', by: caller })
    })
  }

  /** Why this caller may not even speak. */
  #stranger(socket: Socket): string | undefined {
    const fd = fdOf(socket)
    if (fd === undefined) return 'this version of Node does not tell descriptors of sockets'
    try {
      const { uid } = this.#parts.fdPassing.unixPeer(fd)
      return this.#parts.uids.includes(uid) ? undefined : `user ${uid} may not take over`
    } catch (error) {
      return messageOf(error)
    }
  }

  #step(event: PredecessorEvent): void {
    const { state, effects } = stepPredecessor(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#do(effect)
  }

  #do(effect: PredecessorEffect): void {
    const { clock, log, metrics, pid } = this.#parts
    switch (effect.kind) {
      case 'grant':
        this.#try(effect.to, () => this.#grant(effect.to))
        break
      case 'refuse':
        log.warn({ because: effect.because }, 'a hand-over was refused')
        this.#say(effect.to, {
          kind: 'refused',
          version: HANDOVER_VERSION,
          pid,
          because: effect.because,
        })
        this.#hangUp(effect.to)
        break
      case 'describe':
        void this.#describe(effect.to)
        break
      case 'go':
        this.#say(effect.to, { kind: 'go' })
        break
      case 'cancel':
        this.#say(effect.to, { kind: 'cancelled', because: effect.because })
        this.#hangUp(effect.to)
        break
      case 'arm':
        this.#disarm()
        this.#disarm = clock.after(effect.delayMs, () => this.#step({ kind: 'late' }))
        break
      case 'disarm':
        this.#disarm()
        break
      case 'retire':
        metrics.add('shunt_proxy_handovers_total', { role: 'gave', result: 'completed' })
        // Its copy alone: the successor accepts on its own.
        this.#server.close()
        this.#parts.retire()
        this.#report(effect.to)
        break
      case 'failed':
        metrics.add('shunt_proxy_handovers_total', { role: 'gave', result: 'failed' })
        log.warn({ successor: effect.pid, because: effect.because }, 'a hand-over failed; serving goes on')
        break
    }
  }

  /** What fails on this side is told to the successor, and changes nothing here. */
  #try(caller: CallerId, act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#step({ kind: 'broken', by: caller, because: messageOf(error) })
    }
  }

  #grant(caller: CallerId): void {
    const { fdPassing, log, pid } = this.#parts
    const socket = this.#callers.get(caller)
    const to = socket === undefined ? undefined : fdOf(socket)
    if (to === undefined) throw new ShuntError('INTERNAL', 'the successor has no socket any more')
    const all = this.#parts.sockets()
    log.info({ sockets: all.length }, 'a successor takes over')
    let from = 0
    do {
      const some = all.slice(from, from + SOCKETS_PER_MESSAGE)
      const message: PredecessorMessage = {
        kind: 'granted',
        version: HANDOVER_VERSION,
        pid,
        sockets: some.map(({ name }) => name),
        last: from + some.length === all.length,
      }
      from += some.length
      // Past Node, which has nothing under way on this socket yet.
      fdPassing.sendFds(
        to,
        Buffer.from(`${JSON.stringify(message)}\n`),
        some.map(({ fd }) => fd),
      )
    } while (from < all.length)
  }

  /** Between two parts the event loop goes round: connections come in all the while. */
  async #describe(caller: CallerId): Promise<void> {
    try {
      for (const part of this.#parts.state()) {
        if (!this.#callers.has(caller)) return
        this.#say(caller, { kind: 'state', part })
        await new Promise((resolve) => setImmediate(resolve))
      }
      this.#say(caller, { kind: 'described' })
    } catch (error) {
      this.#step({ kind: 'broken', by: caller, because: messageOf(error) })
    }
  }

  #say(caller: CallerId, message: PredecessorMessage): void {
    const socket = this.#callers.get(caller)
    if (socket?.writable === true) socket.write(`${JSON.stringify(message)}\n`)
  }

  #hangUp(caller: CallerId): void {
    const socket = this.#callers.get(caller)
    socket?.end(() => socket.destroy())
  }

  #report(to: CallerId): void {
    this.#say(to, { kind: 'draining', pid: this.#parts.pid, ...this.#parts.drain() })
    this.#cancelReport = this.#parts.clock.after(REPORT_INTERVAL_MS, () => this.#report(to))
  }
}
