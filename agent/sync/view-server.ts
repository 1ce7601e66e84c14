// The agent's end of the control channel: proxies connect to a Unix socket, say what they have, and get views. At most
// one message is under way to a proxy: what changes meanwhile is gathered and sent as one delta when it has
// acknowledged, so a slow reader costs one message of memory, whatever happens.

import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../model/clock.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import type { ProxyView } from '../proxy/decision/view.ts'
import { ViewSubscriber, type DiffViews } from './view-subscriber.ts'

export interface ViewServerOptions {
  readonly path: string
  /** Makes the path free to listen on; throws if another process answers there. */
  readonly claim: () => Promise<void>
  /** Lets the proxy's user connect. */
  readonly own: () => Promise<void>
  /** The last proxy has gone, by itself and not because this server closes. */
  readonly onLastGone: () => void
  readonly diff: DiffViews
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** A connected proxy that has said hello. */
export interface ConnectedProxy {
  readonly pid: number
  readonly skLookup: boolean
  /** Of this agent's views; undefined: none yet. */
  readonly ackedGeneration: number | undefined
  readonly connectedAtMs: number
}

export type AckResult = 'acked' | 'no-proxy' | 'timeout'

export interface ViewServer {
  listen(): Promise<void>
  /** From now on this is what every proxy gets. Generations must grow. */
  publish(view: ProxyView): void
  /** Resolves when every connected proxy has the generation or a later one. Never rejects. */
  acked(generation: number, timeoutMs: number): Promise<AckResult>
  proxies(): readonly ConnectedProxy[]
  /** Hears of proxies that come, acknowledge or go. */
  onChange(call: () => void): void
  close(): Promise<void>
}

/** A proxy that hands over to its successor is connected beside it; more than a few are a mistake. */
const MAX_CONNECTIONS = 8

export function createViewServer(options: ViewServerOptions): ViewServer {
  const { clock, log } = options
  const subscribers = new Set<ViewSubscriber>()
  const listeners: (() => void)[] = []
  let current: ProxyView | undefined
  let server: Server | undefined

  function changed(): void {
    options.metrics.set('shunt_view_subscribers', ready().length)
    for (const call of listeners) call()
  }

  function ready(): ViewSubscriber[] {
    return [...subscribers].filter((each) => each.hello !== undefined)
  }

  function accept(socket: Socket): void {
    if (subscribers.size >= MAX_CONNECTIONS) {
      log.warn({ connections: subscribers.size }, 'a connection to the view socket was refused: too many')
      socket.destroy()
      return
    }
    const subscriber = new ViewSubscriber(socket, {
      diff: options.diff,
      clock,
      log,
      current: () => current,
      onChange: changed,
    })
    subscribers.add(subscriber)
    socket.once('close', () => {
      subscribers.delete(subscriber)
      changed()
      if (subscriber.hello !== undefined && server !== undefined && ready().length === 0) options.onLastGone()
    })
  }

  return {
    async listen() {
      await options.claim()
      const made = createServer(accept)
      await new Promise<void>((resolve, reject) => {
        made.once('error', reject)
        made.listen(options.path, () => {
          made.off('error', reject)
          resolve()
        })
      })
      made.on('error', (error) => log.warn({ error }, 'the view socket reported an error'))
      await options.own()
      server = made
    },
    publish(view) {
      current = view
      for (const subscriber of subscribers) subscriber.update()
    },
    acked(generation, timeoutMs) {
      const state = (): AckResult | undefined => {
        const waiting = ready()
        if (waiting.length === 0) return 'no-proxy'
        return waiting.every((each) => (each.ackedGeneration ?? -1) >= generation) ? 'acked' : undefined
      }
      const now = state()
      if (now !== undefined) return Promise.resolve(now)
      return new Promise((resolve) => {
        const finish = (result: AckResult): void => {
          cancel()
          const at = listeners.indexOf(look)
          if (at >= 0) listeners.splice(at, 1)
          resolve(result)
        }
        const look = (): void => {
          const result = state()
          if (result !== undefined) finish(result)
        }
        const cancel = clock.after(timeoutMs, () => finish('timeout'))
        listeners.push(look)
      })
    },
    proxies: () =>
      ready().map((each) => ({
        pid: each.hello?.pid ?? 0,
        skLookup: each.hello?.skLookup ?? false,
        ackedGeneration: each.ackedGeneration,
        connectedAtMs: each.connectedAtMs,
      })),
    onChange: (call) => void listeners.push(call),
    async close() {
      const closing = server
      server = undefined
      for (const subscriber of subscribers) subscriber.close()
      if (closing !== undefined) await new Promise<void>((resolve) => closing.close(() => resolve()))
    },
  }
}
