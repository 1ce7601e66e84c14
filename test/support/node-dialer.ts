// A dialer for tests without the addon: the same contract as the native one, without a mark.

import { connect } from 'node:net'
import type { Dialer } from '#agent/proxy/engine/dialer.ts'

export function nodeDialer(): Dialer {
  return {
    dial(to, _mark, timeoutMs, done) {
      const socket = connect({ host: to.ip, port: to.port, allowHalfOpen: true, autoSelectFamily: false })
      const timer = setTimeout(() => fail('ETIMEDOUT'), timeoutMs)
      const forget = (): void => {
        clearTimeout(timer)
        socket.off('error', onError)
        socket.off('connect', onConnect)
      }
      const fail = (code: string): void => {
        forget()
        socket.on('error', () => {})
        socket.destroy()
        done({ kind: 'failed', code })
      }
      const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? 'EIO')
      const onConnect = (): void => {
        forget()
        done({ kind: 'connected', socket })
      }
      socket.once('error', onError)
      socket.once('connect', onConnect)
      return () => {
        forget()
        socket.on('error', () => {})
        socket.destroy()
      }
    },
    close: () => {},
  }
}
