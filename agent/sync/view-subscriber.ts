// One proxy on the control channel: hello, then a snapshot or deltas, each acknowledged before the next is sent.

import type { Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import {
  VIEW_VERSION,
  type AgentMessage,
  type ProxyMessage,
  type ProxyView,
  type ViewDelta,
} from '../proxy/decision/view.ts'
import { proxyMessage } from './proxy-message.ts'

/** undefined: no delta leads from one to the other, only a snapshot will do. */
export type DiffViews = (from: ProxyView, to: ProxyView) => ViewDelta | undefined

export interface SubscriberParts {
  readonly diff: DiffViews
  readonly clock: Clock
  readonly log: Log
  readonly current: () => ProxyView | undefined
  readonly onChange: () => void
}

/** What a proxy sends is tiny. */
const MAX_LINE_CHARACTERS = 16_384
/** A proxy that refuses a whole view gets it again no faster than this. */
const SNAPSHOT_RETRY_MS = 1_000
/** A proxy that does not acknowledge for so long is cut off; it connects again and gets a snapshot. */
const ACK_TIMEOUT_MS = 30_000

export class ViewSubscriber {
  readonly #socket: Socket
  readonly #parts: SubscriberParts
  readonly connectedAtMs: number
  hello: Extract<ProxyMessage, { kind: 'hello' }> | undefined
  ackedGeneration: number | undefined
  #acked: ProxyView | undefined
  #sent: ProxyView | undefined
  #cancelTimeout = (): void => {}
  #buffer = ''

  constructor(socket: Socket, parts: SubscriberParts) {
    this.#socket = socket
    this.#parts = parts
    this.connectedAtMs = parts.clock.wallMs()
    socket.setEncoding('utf8')
    socket.on('data', (text) => this.#data(String(text)))
    socket.on('error', (error) => parts.log.debug({ error }, 'a proxy left'))
    socket.once('close', () => this.#cancelTimeout())
  }

  /** The current view has changed. */
  update(): void {
    const view = this.#parts.current()
    if (this.hello === undefined || this.#sent !== undefined || view === undefined || view === this.#acked)
      return
    const delta = this.#acked === undefined ? undefined : this.#parts.diff(this.#acked, view)
    const message: AgentMessage = delta === undefined ? { kind: 'snapshot', view } : { kind: 'delta', delta }
    this.#sent = view
    this.#socket.write(`${JSON.stringify(message)}\n`)
    this.#cancelTimeout = this.#parts.clock.after(ACK_TIMEOUT_MS, () => {
      this.#parts.log.warn(
        { pid: this.hello?.pid, generation: view.generation },
        'a proxy does not acknowledge its view and is cut off',
      )
      this.close()
    })
  }

  close(): void {
    this.#cancelTimeout()
    this.#socket.destroy()
  }

  #data(text: string): void {
    this.#buffer += text
    for (let end = this.#buffer.indexOf('\n'); end >= 0; end = this.#buffer.indexOf('\n')) {
      const line = this.#buffer.slice(0, end)
      this.#buffer = this.#buffer.slice(end + 1)
      if (line.trim() !== '') this.#line(line)
      if (this.#socket.destroyed) return
    }
    if (this.#buffer.length > MAX_LINE_CHARACTERS) this.#refuse('a line is too long')
  }

  #line(line: string): void {
    try {
      const message = proxyMessage(JSON.parse(line))
      if (typeof message === 'string') this.#refuse(message)
      else this.#receive(message)
    } catch (error) {
      this.#refuse(messageOf(error))
    }
  }

  #receive(message: ProxyMessage): void {
    switch (message.kind) {
      case 'hello':
        this.#greet(message)
        break
      case 'ack':
        this.#acknowledge(message.generation)
        break
      case 'resync':
        this.#parts.log.warn(
          { pid: this.hello?.pid, because: message.because },
          'a proxy asks for a whole view',
        )
        this.#sendWhole()
        break
    }
    this.#parts.onChange()
  }

  #greet(hello: Extract<ProxyMessage, { kind: 'hello' }>): void {
    this.hello = hello
    this.#parts.log.info({ pid: hello.pid, have: hello.have, skLookup: hello.skLookup }, 'a proxy connected')
    const current = this.#parts.current()
    if (
      current !== undefined &&
      hello.have?.epoch === current.epoch &&
      hello.have.generation === current.generation
    ) {
      this.#acked = current
      this.ackedGeneration = current.generation
      return
    }
    this.update()
  }

  #acknowledge(generation: number): void {
    // An acknowledgement of something older than what is under way was overtaken by a resync.
    if (this.#sent === undefined || this.#sent.generation !== generation) return
    this.#cancelTimeout()
    this.#acked = this.#sent
    this.#sent = undefined
    this.ackedGeneration = generation
    this.update()
  }

  /** At once if a delta did not fit; later if a snapshot was refused, so that two bugs do not chase each other. */
  #sendWhole(): void {
    this.#cancelTimeout()
    const refusedSnapshot = this.#acked === undefined && this.#sent !== undefined
    this.#acked = undefined
    if (!refusedSnapshot) {
      this.#sent = undefined
      this.update()
      return
    }
    this.#cancelTimeout = this.#parts.clock.after(SNAPSHOT_RETRY_MS, () => {
      this.#sent = undefined
      this.update()
    })
  }

  #refuse(because: string): void {
    this.#parts.log.warn({ because, expected: VIEW_VERSION }, 'a client of the view socket was cut off')
    this.close()
  }
}
