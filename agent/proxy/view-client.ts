// The proxy's end of the control channel: connects to the agent's view socket, says what it has, applies what it gets,
// and connects again for ever. Without an agent the proxy goes on with the view that it has.

import { connect, type Socket } from 'node:net'
import type { Clock, Random } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { CurrentView } from './current-view.ts'
import { applyDelta } from './decision/apply.ts'
import { isObject } from './decision/reasons.ts'
import { checkDelta, checkView } from './decision/view-check.ts'
import { VIEW_VERSION, type ProxyMessage } from './decision/view.ts'
import { JsonLines } from './json-lines.ts'
import { LogGate } from './log-gate.ts'

export interface ViewClientOptions {
  readonly path: string
  readonly skLookup: boolean
  readonly pid: number
}

export interface ViewClientParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly current: CurrentView
  /** Called whenever a connection failed or ended. */
  readonly lost?: () => void
}

const RECONNECT_MIN_MS = 100
const RECONNECT_MAX_MS = 5_000

export class ViewClient {
  readonly #options: ViewClientOptions
  readonly #parts: ViewClientParts
  readonly #gate: LogGate
  #socket: Socket | undefined
  #connected = false
  #failures = 0
  #cancelRetry: (() => void) | undefined
  #closed = false
  #awaitsSnapshot = false

  constructor(options: ViewClientOptions, parts: ViewClientParts) {
    this.#options = options
    this.#parts = parts
    this.#gate = new LogGate(parts.clock, 60_000)
  }

  get connected(): boolean {
    return this.#connected
  }

  /** Once. */
  start(): void {
    const socket = connect(this.#options.path)
    const lines = new JsonLines()
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.once('connect', () => {
      this.#connected = true
      this.#failures = 0
      this.#awaitsSnapshot = false
      this.#hello()
      this.#parts.log.info({ path: this.#options.path }, 'connected to the agent')
    })
    socket.on('data', (text) => {
      for (const line of lines.push(String(text))) {
        if (line.kind === 'json') this.#receive(line.value)
        else socket.destroy(new Error(line.because))
      }
    })
    socket.on('error', (error) => {
      this.#gate.pass(this.#connected ? 'lost' : 'unreachable', (suppressed) =>
        this.#parts.log.info(
          { path: this.#options.path, because: error.message, suppressed },
          'no agent to talk to',
        ),
      )
    })
    socket.once('close', () => this.#retry())
  }

  close(): void {
    this.#closed = true
    this.#cancelRetry?.()
    this.#socket?.destroy()
  }

  #retry(): void {
    this.#connected = false
    this.#socket = undefined
    this.#parts.lost?.()
    if (this.#closed) return
    const ceilingMs = Math.min(RECONNECT_MIN_MS * 2 ** Math.min(this.#failures, 10), RECONNECT_MAX_MS)
    this.#failures++
    // Half fixed and half random: proxies that lost the same agent do not come back in step.
    const delayMs = ceilingMs / 2 + (ceilingMs / 2) * this.#parts.random()
    this.#cancelRetry = this.#parts.clock.after(delayMs, () => this.start())
  }

  #hello(): void {
    const { view } = this.#parts.current
    this.#send({
      kind: 'hello',
      version: VIEW_VERSION,
      pid: this.#options.pid,
      have: view === undefined ? null : { epoch: view.epoch, generation: view.generation },
      skLookup: this.#options.skLookup,
    })
  }

  #receive(message: unknown): void {
    try {
      this.#apply(message)
    } catch (error) {
      // Serving goes on whatever the agent sends.
      this.#resync(messageOf(error))
    }
  }

  #apply(message: unknown): void {
    const { current } = this.#parts
    if (isObject(message) && message['kind'] === 'snapshot') {
      const checked = checkView(message['view'])
      if (checked.kind === 'bad') return this.#resync(checked.reasons.join('; '))
      this.#awaitsSnapshot = false
      current.set(checked.value, 'agent')
      return this.#send({ kind: 'ack', generation: checked.value.generation })
    }
    if (isObject(message) && message['kind'] === 'delta') {
      // Changes that were under way when it asked for a snapshot do not fit, and asking again would not help.
      if (this.#awaitsSnapshot) return
      const checked = checkDelta(message['delta'])
      if (checked.kind === 'bad') return this.#resync(checked.reasons.join('; '))
      const applied = applyDelta(current.view, checked.value)
      if (applied.kind === 'resync') return this.#resync(applied.because)
      current.set(applied.view, 'agent')
      return this.#send({ kind: 'ack', generation: applied.view.generation })
    }
    this.#parts.log.debug({ message }, 'a message of an unknown kind was ignored')
  }

  #resync(because: string): void {
    this.#gate.pass('resync', (suppressed) =>
      this.#parts.log.warn({ because, suppressed }, 'asked the agent for a whole view'),
    )
    this.#awaitsSnapshot = true
    this.#send({ kind: 'resync', because: because.slice(0, 2_000) })
  }

  #send(message: ProxyMessage): void {
    if (this.#socket?.writable === true) this.#socket.write(`${JSON.stringify(message)}\n`)
  }
}
