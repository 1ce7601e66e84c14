// A process with a listening socket, for tests of what the kernel makes of sockets that two processes have: told by IPC what
// to do, one thing after the other.

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { loadNative } from '#agent/kernel/native.ts'
import { fdOf } from '#agent/kernel/original-destination.ts'
import { attachSteering, LISTENER_SLOT, encodeSteerKey, withSteerMaps } from '#agent/kernel/steer-maps.ts'
import { messageOf } from '#agent/model/errors.ts'
import type { Ip } from '#agent/model/ip.ts'

export type HolderOrder =
  /** A listening socket on all IPv4 addresses; `user`: becomes that user first. */
  | { readonly op: 'open'; readonly port: number; readonly reusePort: boolean; readonly user?: number }
  /** Enters the socket in the socket map, for that destination. */
  | { readonly op: 'steer'; readonly pinDir: string; readonly ip: string; readonly port: number }
  /** Waits for a caller on the path and passes the socket to it. */
  | { readonly op: 'pass'; readonly path: string }
  | { readonly op: 'take'; readonly path: string }
  /** Answers its name to everyone who connects. */
  | { readonly op: 'accept'; readonly name: string }
  /** Closes its copy. */
  | { readonly op: 'close' }
  /** Who listened last on the path, as somebody who connects sees it. */
  | { readonly op: 'peer'; readonly path: string }
  /** Connects so often, ten at a time; the answers, or what went wrong, with their numbers. */
  | { readonly op: 'dial'; readonly ip: string; readonly port: number; readonly count: number }

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded
let listener = -1
let server: Server | undefined
const answers = new Map<string, number>()
const dialling: Promise<void>[] = []

process.on('message', (order: HolderOrder | { readonly op: 'answers' }) => {
  run(order).then(
    (value) => process.send?.({ value }),
    (error: unknown) => process.send?.({ error: messageOf(error) }),
  )
})

async function run(order: HolderOrder | { readonly op: 'answers' }): Promise<unknown> {
  switch (order.op) {
    case 'open':
      if (order.user !== undefined) process.setuid?.(order.user)
      listener = native.listenTcp({
        ip: '0.0.0.0' as Ip,
        port: order.port,
        backlog: 1024,
        transparent: false,
        reusePort: order.reusePort,
        v6only: true,
      })
      return undefined
    case 'steer':
      withSteerMaps(native, order.pinDir, (maps) => {
        native.bpf.sockMapUpdate(maps.listeners, LISTENER_SLOT.IPv4, listener)
        const key = encodeSteerKey({ ip: order.ip as Ip, port: order.port })
        native.bpf.mapUpdate(maps.frontends, key, Uint8Array.of(1))
        attachSteering(native.bpf, order.pinDir, maps)
      })
      return undefined
    case 'pass': {
      const passing = createServer()
      passing.listen({ fd: native.fdPassing.listenUnix(order.path, 0o666, 4) })
      passing.on('connection', (caller: Socket) => {
        caller.on('error', () => {})
        native.fdPassing.sendFds(fdOf(caller) ?? -1, Buffer.from('x'), [listener])
      })
      return undefined
    }
    case 'take': {
      const channel = native.fdPassing.connectUnix(order.path)
      for (;;) {
        const received = native.fdPassing.receiveFds(channel, 1)
        if (received !== undefined) {
          listener = received.fds[0] ?? -1
          return undefined
        }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    case 'accept':
      server = createServer((socket) => {
        socket.on('error', () => {})
        socket.end(order.name)
      })
      server.listen({ fd: listener })
      await once(server, 'listening')
      return undefined
    case 'close':
      if (server === undefined) native.closeFd(listener)
      else server.close()
      server = undefined
      return undefined
    case 'peer': {
      const channel = native.fdPassing.connectUnix(order.path)
      const { pid } = native.fdPassing.unixPeer(channel)
      native.closeFd(channel)
      return pid
    }
    case 'dial': {
      let left = order.count
      const next = async (): Promise<void> => {
        while (left-- > 0) {
          const answer = await dial(order.ip, order.port)
          answers.set(answer, (answers.get(answer) ?? 0) + 1)
        }
      }
      // Not awaited: nobody may accept yet.
      for (let i = 0; i < 10; i++) dialling.push(next())
      return undefined
    }
    case 'answers': {
      await Promise.all(dialling.splice(0))
      const all = Object.fromEntries(answers)
      answers.clear()
      return all
    }
  }
}

function dial(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    let text = ''
    socket.setTimeout(5_000, () => socket.destroy(new Error('timeout')))
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.once('end', () => resolve(text))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}
