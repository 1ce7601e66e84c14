// Opens connections to endpoints for the stream engine, marked so that they are never steered again. Node's own connect
// cannot set a mark, which is why the addon connects.

import { Socket } from 'node:net'
import type { Connector, ConnectResult } from '../../kernel/native-types.ts'
import { resetSocket } from '../reset.ts'
import type { SocketAddress } from './engine.ts'

export interface Dialer {
  /**
   * Calls `done` once, never before it returns, and not at all after the returned function was called.
   * `mark`: SO_MARK, 0 for none.
   */
  dial(to: SocketAddress, mark: number, timeoutMs: number, done: (result: DialResult) => void): () => void
  close(): void
}

export type DialResult =
  /** Half-open allowed; the receiver owns it. */
  | { readonly kind: 'connected'; readonly socket: Socket }
  /** Name of the errno. */
  | { readonly kind: 'failed'; readonly code: string }

/**
 * Opens the connector with the first connection: it works on a thread of its own, capabilities belong to threads, and
 * one that was made before root was given up would have none.
 */
export function nativeDialer(open: () => Connector): Dialer {
  let connector: Connector | undefined
  return {
    dial(to, mark, timeoutMs, done) {
      let wanted = true
      connector ??= open()
      const pending = connector.connect({
        ip: to.ip,
        port: to.port,
        mark,
        timeoutMs: Math.max(1, Math.ceil(timeoutMs)),
      })
      void settle(pending.result, (result) => {
        if (wanted) done(result)
        else if (result.kind === 'connected') resetSocket(result.socket)
      })
      return () => {
        wanted = false
        pending.cancel()
      }
    },
    close: () => connector?.close(),
  }
}

async function settle(pending: Promise<ConnectResult>, done: (result: DialResult) => void): Promise<void> {
  const result = await pending
  if (result.kind === 'failed') return done({ kind: 'failed', code: result.code })
  const socket = new Socket({ fd: result.fd, allowHalfOpen: true })
  // TCP_NODELAY is set by the connector.
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  done({ kind: 'connected', socket })
}

/** How long a silent connection is left alone before the kernel asks whether the peer is still there. */
export const KEEP_ALIVE_MS = 300_000
