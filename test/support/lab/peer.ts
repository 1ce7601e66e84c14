// A peer is a process in one namespace that listens and connects as a test tells it. It lives as long as the lab, so
// that thousands of connections cost no process each.

import { type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type {
  Behaviour,
  PeerProtocol,
  PeerReply,
  PeerRequest,
  ReplyFrame,
  Seen,
  Timed,
} from './peer-messages.ts'
import { labEnvironment, type SpawnOptions } from './processes.ts'

export interface ConnectOptions {
  readonly protocol?: PeerProtocol
  readonly count?: number
  readonly concurrency?: number
  readonly timeoutMs?: number
  /** Source addresses to bind, each in turn. */
  readonly from?: string | readonly string[]
}

/** A client that connects at a steady pace until it is stopped. */
export interface Stream {
  stop(): Promise<readonly Timed[]>
}

/** One TCP connection that stays open. */
export interface Held {
  readonly first: Seen
  ask(timeoutMs?: number): Promise<Seen>
  /** Sends no more, and goes on listening. */
  finish(): Promise<void>
  drop(): Promise<void>
}

export interface Peer {
  readonly pid: number
  listen(
    address: string,
    port: number,
    options: { readonly name: string; readonly protocol?: PeerProtocol; readonly behaviour?: Behaviour },
  ): Promise<void>
  /** Stops listening; connections that stand stay. */
  unlisten(address: string, port: number, protocol?: PeerProtocol): Promise<void>
  connect(to: string, port: number, options?: ConnectOptions): Promise<readonly Seen[]>
  stream(
    to: string,
    port: number,
    options: {
      readonly intervalMs: number
      readonly timeoutMs?: number
      readonly limit?: number
      readonly protocol?: PeerProtocol
    },
  ): Promise<Stream>
  hold(
    to: string,
    port: number,
    options?: { readonly timeoutMs?: number; readonly silent?: boolean },
  ): Promise<Held>
}

const MAIN = fileURLToPath(new URL('./peer-main.ts', import.meta.url))
const DEFAULT_TIMEOUT_MS = 3000

/** @param stays the peer outlives us (then it must be ended by whoever takes the lab down) */
export async function startPeer(
  place: string,
  stays: boolean,
  spawn: (argv: readonly string[], options: SpawnOptions) => ChildProcess,
): Promise<Peer> {
  const child = spawn([process.execPath, MAIN, ...(stays ? ['--stay'] : [])], {
    stdio: ['ignore', 'ignore', stays ? 'ignore' : 'inherit', 'ipc'],
    env: labEnvironment(),
  })
  const waiting = new Map<number, { resolve: (reply: PeerReply) => void; reject: (error: Error) => void }>()
  let frames = 0
  child.on('message', (message) => {
    const frame = message as ReplyFrame
    waiting.get(frame.id)?.resolve(frame.reply)
    waiting.delete(frame.id)
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values())
      reject(new Error(`the peer at ${place} ended: ${code ?? signal}`))
    waiting.clear()
  })
  const tell = async (request: PeerRequest): Promise<PeerReply> => {
    const reply = await new Promise<PeerReply>((resolve, reject) => {
      const id = frames++
      waiting.set(id, { resolve, reject })
      child.send({ id, request }, (error) => {
        if (error !== null) reject(error)
      })
    })
    if (reply.kind === 'failed') throw new Error(`${place}: ${reply.message}`)
    return reply
  }
  const tellSeen = async (request: PeerRequest): Promise<readonly Seen[]> => {
    const reply = await tell(request)
    return reply.kind === 'seen' ? reply.seen : []
  }
  const one = (seen: readonly Seen[]): Seen => seen[0] ?? { kind: 'unreachable', code: 'NO_REPLY', ms: 0 }

  let streams = 0
  let held = 0
  return {
    pid: child.pid ?? 0,
    listen: async (address, port, options) => {
      await tell({
        kind: 'listen',
        protocol: options.protocol ?? 'tcp',
        address,
        port,
        name: options.name,
        behaviour: options.behaviour ?? 'answer',
      })
    },
    unlisten: async (address, port, protocol = 'tcp') => {
      await tell({ kind: 'unlisten', protocol, address, port })
    },
    connect: (to, port, options = {}) =>
      tellSeen({
        kind: 'connect',
        protocol: options.protocol ?? 'tcp',
        to,
        port,
        count: options.count ?? 1,
        concurrency: options.concurrency ?? 32,
        timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        from: [options.from ?? []].flat(),
      }),
    stream: async (to, port, options) => {
      const stream = streams++
      const {
        intervalMs,
        timeoutMs = DEFAULT_TIMEOUT_MS,
        limit = Number.MAX_SAFE_INTEGER,
        protocol = 'tcp',
      } = options
      await tell({ kind: 'stream', stream, protocol, to, port, intervalMs, timeoutMs, limit })
      return {
        stop: async () => {
          const reply = await tell({ kind: 'stop', stream })
          return reply.kind === 'streamed' ? reply.timed : []
        },
      }
    },
    hold: async (to, port, options = {}) => {
      const id = held++
      const { timeoutMs = DEFAULT_TIMEOUT_MS, silent = false } = options
      const first = one(await tellSeen({ kind: 'hold', held: id, to, port, timeoutMs, silent }))
      return {
        first,
        ask: async (askTimeoutMs = DEFAULT_TIMEOUT_MS) =>
          one(await tellSeen({ kind: 'ask', held: id, timeoutMs: askTimeoutMs })),
        finish: async () => void (await tell({ kind: 'finish', held: id })),
        drop: async () => void (await tell({ kind: 'drop', held: id })),
      }
    },
  }
}
