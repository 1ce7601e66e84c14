// Proves interception by a real connection to an address that only steering can deliver. The proxy answers a
// connection to it with the line of kernel/steer-socket.ts and closes.

import net from 'node:net'

import type { Family } from '../../model/ip.ts'
import { SELFTEST_IPV4, SELFTEST_IPV6, SELFTEST_PORT } from '../../model/steering-names.ts'

export type SelfTestResult =
  | {
      readonly kind: 'ok'
      readonly latencyMs: number
      /** Of the proxy that answered. */
      readonly pid: number
      /** Of the view that it serves; 0: none yet. */
      readonly generation: number
    }
  | { readonly kind: 'failed'; readonly because: string }

/** Never rejects. */
export function selfTest(
  family: Family,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<SelfTestResult> {
  const host = family === 'IPv4' ? SELFTEST_IPV4 : SELFTEST_IPV6
  const begun = performance.now()
  return new Promise((resolve) => {
    const socket = net.connect({ host, port: SELFTEST_PORT, noDelay: true })
    let answer = ''
    const finish = (result: SelfTestResult): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const fail = (because: string): void => finish({ kind: 'failed', because })
    const timer = setTimeout(() => {
      const stage = socket.connecting ? 'no connection' : 'connected, but no answer'
      fail(`${stage} within ${timeoutMs} ms`)
    }, timeoutMs)
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      answer += text
      if (!answer.includes('\n') && answer.length <= MAX_ANSWER_CHARACTERS) return
      const found = ANSWER.exec(answer)
      if (found === null)
        fail(`something else than the proxy answered: ${JSON.stringify(answer.slice(0, 40))}`)
      else
        finish({
          kind: 'ok',
          latencyMs: performance.now() - begun,
          pid: Number(found[1]),
          generation: Number(found[2]),
        })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => fail(`connect: ${error.code ?? error.message}`))
    socket.on('close', () => fail('the connection was closed without an answer'))
  })
}

const ANSWER = /^shunt ([0-9]+) ([0-9]+)\n/
const MAX_ANSWER_CHARACTERS = 100
