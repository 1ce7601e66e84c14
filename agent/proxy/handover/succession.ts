// The starting proxy's end of the channel, from the moment it has the sockets: does what successor-state.ts says. Its owner
// goes through state(), ready() and serving() in this order; each waits for the predecessor's word.

import { Socket } from 'node:net'
import type { Fd } from '../../kernel/native-types.ts'
import type { Clock } from '../../model/clock.ts'
import { messageOf, type ShuntError } from '../../model/errors.ts'
import type { Log } from '../../model/log.ts'
import { JsonLines } from '../json-lines.ts'
import { failureError } from './failure-error.ts'
import { predecessorMessage, type DrainingReport, type SuccessorMessage } from './messages.ts'
import {
  stepSuccessor,
  type SuccessorEffect,
  type SuccessorEvent,
  type SuccessorState,
} from './successor-state.ts'

export interface SuccessionParts {
  readonly clock: Clock
  readonly log: Log
  /** Of the predecessor. */
  readonly pid: number
  /** How it drains. */
  readonly report: (report: DrainingReport) => void
  /** It has ended. */
  readonly gone: () => void
  /** Serving has begun and must end: the predecessor did not retire. */
  readonly revoked: (error: ShuntError) => void
}

export class Succession {
  /** The channel; becomes one of those that a later successor gets. */
  readonly channel: Socket
  readonly #parts: SuccessionParts
  readonly #kept: unknown[] = []
  readonly #described = Promise.withResolvers<readonly unknown[]>()
  readonly #go = Promise.withResolvers<void>()
  #state: SuccessorState = { kind: 'calling' }
  #disarm = (): void => {}

  /** Owns the channel; the sockets have come over it. */
  constructor(channel: Fd, parts: SuccessionParts) {
    this.#parts = parts
    // Nobody may be waiting yet when it fails.
    this.#described.promise.catch(() => {})
    this.#go.promise.catch(() => {})
    const lines = new JsonLines()
    this.channel = new Socket({ fd: channel })
    this.channel.setEncoding('utf8')
    this.channel.on('data', (text) => {
      for (const line of lines.push(String(text))) {
        const message = line.kind === 'json' ? predecessorMessage(line.value) : line.because
        this.#step(
          typeof message === 'string' ? { kind: 'broken', because: message } : { kind: 'heard', message },
        )
      }
    })
    this.channel.on('error', (error) => parts.log.debug({ error }, 'the channel to the predecessor failed'))
    this.channel.once('close', () => {
      if (this.#state.kind === 'serving') parts.gone()
      this.#step({ kind: 'lost' })
    })
    this.#step({
      kind: 'heard',
      message: { kind: 'granted', version: 0, pid: parts.pid, sockets: [], last: true },
    })
  }

  /** What the predecessor knows, in parts; fewer or none if it died. Throws HANDOVER_FAILED. */
  state(): Promise<readonly unknown[]> {
    return this.#described.promise
  }

  /** Everything is prepared: resolves when this process must begin to accept. Throws HANDOVER_FAILED. */
  ready(): Promise<void> {
    this.#step({ kind: 'prepared' })
    return this.#go.promise
  }

  /** It accepts: the predecessor may retire. */
  serving(): void {
    this.#step({ kind: 'accepting' })
  }

  /** This process cannot go on: the predecessor is told, and serves on. */
  abandon(error: unknown): void {
    this.#step({ kind: 'unable', because: messageOf(error) })
  }

  #step(event: SuccessorEvent): void {
    const before = this.#state
    const { state, effects } = stepSuccessor(before, event)
    this.#state = state
    for (const effect of effects) this.#do(effect, before)
  }

  #do(effect: SuccessorEffect, before: SuccessorState): void {
    const { clock, pid } = this.#parts
    switch (effect.kind) {
      case 'tell':
        this.#say({ kind: effect.message })
        break
      case 'arm':
        this.#disarm()
        this.#disarm = clock.after(effect.delayMs, () => this.#step({ kind: 'late' }))
        break
      case 'disarm':
        this.#disarm()
        break
      case 'keep':
        this.#kept.push(effect.part)
        break
      case 'prepare':
        this.#described.resolve(this.#kept)
        break
      case 'accept':
        this.#go.resolve()
        break
      case 'report':
        this.#parts.report(effect.report)
        break
      case 'fail': {
        const error = failureError(effect.because, pid)
        this.#say({ kind: 'failed', because: error.message })
        this.channel.end(() => this.channel.destroy())
        this.#described.reject(error)
        this.#go.reject(error)
        if (before.kind === 'taking' || before.kind === 'serving') this.#parts.revoked(error)
        break
      }
    }
  }

  #say(message: SuccessorMessage): void {
    if (this.channel.writable) this.channel.write(`${JSON.stringify(message)}\n`)
  }
}
