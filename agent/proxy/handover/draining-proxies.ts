// The proxies that handed over and still drain, as this one hears from them. Each tells it on a channel of its own, which a
// later successor inherits: so the newest proxy knows of all that are left, however many hand-overs ago they served.

import { Socket } from 'node:net'
import type { Fd } from '../../kernel/native-types.ts'
import { fdOf } from '../../kernel/original-destination.ts'
import type { Log } from '../../model/log.ts'
import { JsonLines } from '../json-lines.ts'
import type { NamedSocket } from './handover-server.ts'
import { predecessorMessage, type DrainingReport } from './messages.ts'

export interface DrainingProxy {
  readonly pid: number
  /** That live on in it; null: it has not said yet. */
  readonly connections: number | null
  /** Milliseconds since 1970; null: it has not said yet. */
  readonly sinceMs: number | null
  /** When it resets what is left; null: not known, or never. */
  readonly untilMs: number | null
}

interface Channel {
  readonly pid: number
  readonly socket: Socket
  report: DrainingReport | undefined
}

export class DrainingProxies {
  readonly #log: Log
  readonly #channels = new Set<Channel>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Longest ago first. */
  list(): readonly DrainingProxy[] {
    return [...this.#channels].map(({ pid, report }) => ({
      pid,
      connections: report?.connections ?? null,
      sinceMs: report?.sinceMs ?? null,
      untilMs: report?.untilMs ?? null,
    }))
  }

  /** A channel that was passed on; it is owned from here on. */
  inherit(pid: number, fd: Fd): void {
    const socket = new Socket({ fd })
    const channel = this.#add(pid, socket)
    const lines = new JsonLines()
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      for (const line of lines.push(String(text))) {
        const message = line.kind === 'json' ? predecessorMessage(line.value) : undefined
        // The first line may lack what the process before this one has read of it.
        if (typeof message === 'object' && message.kind === 'draining') channel.report = message
      }
    })
    socket.on('error', (error) => this.#log.debug({ error, pid }, 'a draining proxy is not heard any more'))
    socket.once('close', () => this.#channels.delete(channel))
  }

  /** The proxy that this one took over from; its channel is read by somebody else, who tells here. */
  follow(
    pid: number,
    socket: Socket,
  ): { readonly report: (report: DrainingReport) => void; readonly gone: () => void } {
    const channel = this.#add(pid, socket)
    return {
      report: (report) => void (channel.report = report),
      gone: () => void this.#channels.delete(channel),
    }
  }

  /** For the successor of this one. */
  sockets(): readonly NamedSocket[] {
    return [...this.#channels].flatMap(({ pid, socket }) => {
      const fd = fdOf(socket)
      return fd === undefined ? [] : [{ name: { role: 'draining', pid }, fd }]
    })
  }

  /** They report to the successor from now on. */
  release(): void {
    for (const { socket } of this.#channels) socket.destroy()
    this.#channels.clear()
  }

  #add(pid: number, socket: Socket): Channel {
    const channel: Channel = { pid, socket, report: undefined }
    this.#channels.add(channel)
    // It must not keep this process alive.
    socket.unref()
    return channel
  }
}
