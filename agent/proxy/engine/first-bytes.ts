// The first bytes of a socket that nobody reads yet: waits for them and looks at them, and leaves them where they are.

import type { Socket } from 'node:net'
import type { Clock } from '../../model/clock.ts'

/**
 * Calls `done` once, unless it is cancelled: as soon as so many bytes wait, or `over` when no more will come or the time
 * has passed. Never before it returns.
 */
export function awaitFirstBytes(
  socket: Socket,
  atLeastBytes: number,
  timeoutMs: number,
  clock: Clock,
  done: (over: boolean) => void,
): () => void {
  let wanted = true
  const finish = (over: boolean): void => {
    cancel()
    done(over)
  }
  const look = (): void => {
    if (!wanted) return
    if (socket.readableLength >= atLeastBytes) finish(false)
    else if (sentAll(socket)) finish(true)
  }
  // Timers come before sockets: what arrived while this thread was busy still counts.
  let lastLook: NodeJS.Immediate | undefined
  const cancelTimer = clock.after(timeoutMs, () => {
    lastLook = setImmediate(() => finish(socket.readableLength < atLeastBytes))
  })
  const cancel = (): void => {
    wanted = false
    cancelTimer()
    clearImmediate(lastLook)
    socket.off('readable', look)
  }
  socket.on('readable', look)
  socket.read(0)
  // What came before anybody listened is not told again.
  queueMicrotask(look)
  return cancel
}

/** A copy of at most so many of the bytes that wait. */
export function peekBytes(socket: Socket, maxBytes: number): Uint8Array {
  const length = Math.min(maxBytes, socket.readableLength)
  if (length === 0) return new Uint8Array(0)
  const bytes = socket.read(length) as Buffer | null
  if (bytes === null) return new Uint8Array(0)
  socket.unshift(bytes)
  return bytes
}

/**
 * Node tells of an end when everything before it was read, and these bytes must stay unread, so its own note of it is
 * looked at. Without that note a peek of too few bytes lasts until its time is over.
 */
function sentAll(socket: Socket): boolean {
  if (socket.readableEnded) return true
  if (!('_readableState' in socket)) return false
  const state: unknown = socket._readableState
  return typeof state === 'object' && state !== null && 'ended' in state && state.ended === true
}
