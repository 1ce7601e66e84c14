// The connecting half of a peer: opens connections and reports how each one ended.

import { createSocket } from 'node:dgram'
import { connect, type Socket } from 'node:net'

import type { ConnectRequest, Seen, StreamRequest, Timed } from './peer-messages.ts'

interface Target extends Pick<ConnectRequest, 'protocol' | 'to' | 'port' | 'timeoutMs'> {
  /** Source address. */
  readonly from?: string
}

/** One connection from start to end: a question, an answer, a close. */
export function probe(target: Target): Promise<Seen> {
  return target.protocol === 'tcp' ? probeTcp(target) : probeUdp(target)
}

/** So many connections, so many at a time, results in the order of their starts. */
export async function probeMany(request: ConnectRequest): Promise<readonly Seen[]> {
  const seen: Seen[] = Array<Seen>(request.count)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < request.count; i = next++) {
      const from = request.from[i % request.from.length]
      seen[i] = await probe({ ...targetOf(request), ...(from === undefined ? {} : { from }) })
    }
  }
  await Promise.all(Array.from({ length: Math.min(request.concurrency, request.count) }, worker))
  return seen
}

function targetOf({ protocol, to, port, timeoutMs }: ConnectRequest): Target {
  return { protocol, to, port, timeoutMs }
}

export interface Running {
  stop(): Promise<readonly Timed[]>
}

/** Starts a connection at every interval, whatever became of those before. */
export function streamProbes(request: StreamRequest): Running {
  const timed: Promise<Timed>[] = []
  const startedMs = performance.now()
  const timer = setInterval(
    () => {
      // Catches up after a late tick, so that the pace holds on a busy machine.
      const due = Math.min(Math.floor((performance.now() - startedMs) / request.intervalMs), request.limit)
      while (timed.length < due) {
        const atMs = Date.now()
        timed.push(probe(request).then((seen) => ({ atMs, seen })))
      }
      if (timed.length >= request.limit) clearInterval(timer)
    },
    Math.max(request.intervalMs, 1),
  )
  return {
    stop: () => {
      clearInterval(timer)
      return Promise.all(timed)
    },
  }
}

/** Sends a question and waits for the line that answers it. */
export function ask(socket: Socket, timeoutMs: number, startedMs: number = performance.now()): Promise<Seen> {
  return new Promise((resolve) => {
    let text = ''
    const end = (seen: Seen): void => {
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('error', onError)
      socket.off('close', onClose)
      resolve(seen)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (text.endsWith('\n')) end(answered(text, startedMs))
    }
    const onError = (error: NodeJS.ErrnoException): void =>
      end({ kind: 'broken', code: error.code ?? error.message, ms: since(startedMs) })
    const onClose = (): void => end({ kind: 'broken', code: 'CLOSED', ms: since(startedMs) })
    const timer = setTimeout(() => end({ kind: 'mute', ms: since(startedMs) }), timeoutMs)
    socket.on('data', onData)
    socket.on('error', onError)
    socket.on('close', onClose)
    if (socket.destroyed) onClose()
    else socket.write('who\n')
  })
}

/** Opens a connection; the socket on success, else what went wrong. */
export function open(target: Target): Promise<Socket | Seen> {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const socket = connect({
      host: target.to,
      port: target.port,
      noDelay: true,
      ...(target.from === undefined ? {} : { localAddress: target.from }),
    })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve({ kind: 'silent', ms: since(startedMs) })
    }, target.timeoutMs)
    const onError = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer)
      resolve(notOpened(error.code ?? error.message, since(startedMs)))
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', onError)
      // Whoever uses the socket listens for what matters to it; an error that nobody awaits must not end the peer.
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

async function probeTcp(target: Target): Promise<Seen> {
  const startedMs = performance.now()
  const socket = await open(target)
  if ('kind' in socket) return socket
  const seen = await ask(socket, Math.max(target.timeoutMs - since(startedMs), 1), startedMs)
  socket.destroy()
  return seen
}

function probeUdp(target: Target): Promise<Seen> {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const socket = createSocket({ type: target.to.includes(':') ? 'udp6' : 'udp4' })
    let ended = false
    const end = (seen: Seen): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      socket.removeAllListeners()
      socket.on('error', () => undefined)
      socket.close()
      resolve(seen)
    }
    const timer = setTimeout(() => end({ kind: 'silent', ms: since(startedMs) }), target.timeoutMs)
    socket.on('message', (message) => end(answered(message.toString('latin1'), startedMs)))
    const failed = (error: NodeJS.ErrnoException): void => {
      // The local firewall took the packet; whether it also says why, the next receive or the timeout tells.
      if (error.code !== 'EPERM') end(notOpened(error.code ?? error.message, since(startedMs)))
    }
    socket.on('error', failed)
    // A connected socket hears of ICMP errors.
    const go = (): void => {
      socket.connect(target.port, target.to, () => {
        socket.send('who\n', (error) => {
          if (error !== null) failed(error)
        })
      })
    }
    if (target.from === undefined) go()
    else socket.bind(0, target.from, go)
  })
}

function answered(text: string, startedMs: number): Seen {
  const [by = '', source = ''] = text.trim().split(' ')
  return { kind: 'answered', by, source: source.replace(/^::ffff:/, ''), ms: since(startedMs) }
}

function notOpened(code: string, ms: number): Seen {
  if (code === 'ECONNREFUSED') return { kind: 'refused', ms }
  if (code === 'ETIMEDOUT') return { kind: 'silent', ms }
  // Reset between the handshake and our hearing of it.
  if (code === 'ECONNRESET' || code === 'EPIPE') return { kind: 'broken', code, ms }
  return { kind: 'unreachable', code, ms }
}

function since(startedMs: number): number {
  return Math.round((performance.now() - startedMs) * 10) / 10
}
