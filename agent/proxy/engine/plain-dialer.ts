// Opens connections to endpoints with Node's own sockets, for hosts without the addon. They carry no mark.

import { connect } from 'node:net'
import { resetSocket } from '../reset.ts'
import { KEEP_ALIVE_MS, type DialResult, type Dialer } from './dialer.ts'

export const plainDialer: Dialer = {
  dial({ ip, port }, _mark, timeoutMs, done) {
    const socket = connect({
      host: ip,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      allowHalfOpen: true,
    })
    socket.pause()
    let open = true
    const settle = (result: DialResult): void => {
      if (!open) return
      open = false
      clearTimeout(timer)
      socket.off('error', failed).off('connect', connected)
      if (result.kind === 'failed') drop()
      done(result)
    }
    const drop = (): void => {
      socket.on('error', () => {})
      resetSocket(socket)
    }
    const failed = (error: NodeJS.ErrnoException): void =>
      settle({ kind: 'failed', code: error.code ?? 'EIO' })
    const connected = (): void => settle({ kind: 'connected', socket })
    const timer = setTimeout(settle, Math.max(1, Math.ceil(timeoutMs)), { kind: 'failed', code: 'ETIMEDOUT' })
    socket.on('error', failed).on('connect', connected)
    return () => {
      if (!open) return
      open = false
      clearTimeout(timer)
      drop()
    }
  },
  close: () => {},
}
