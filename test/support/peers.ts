// What stands at the far ends of a proxied connection on loopback: endpoints that serve, refuse or never answer, and
// what a peer saw.

import type { ExecutionContext } from 'ava'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { parseIp, type Ip } from '#agent/model/ip.ts'
import type { Port } from '#agent/model/port.ts'

export interface Peer {
  readonly ip: Ip
  readonly port: Port
}

const LOOPBACK = parseIp('127.0.0.1') ?? unreachable()

/** An endpoint; what happens on a connection is the test's. `sockets` are those that came, in order. */
export async function servingPeer(
  t: ExecutionContext,
  serve: (socket: Socket) => void = () => {},
): Promise<Peer & { readonly sockets: Socket[]; readonly nextSocket: () => Promise<Socket> }> {
  const sockets: Socket[] = []
  const waiting: ((socket: Socket) => void)[] = []
  const fresh: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    serve(socket)
    const waits = waiting.shift()
    if (waits === undefined) fresh.push(socket)
    else waits(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    ...addressOf(server.address() as AddressInfo),
    sockets,
    nextSocket: () => {
      const socket = fresh.shift()
      return socket === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(socket)
    },
  }
}

/** Sends back what it gets, and ends when the other does. */
export const echo = (socket: Socket): void => void socket.pipe(socket)

/** A port where nobody listens. */
export async function refusingPeer(): Promise<Peer> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = addressOf(server.address() as AddressInfo)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return address
}

/**
 * A black hole: a listener whose queue is full, for which the kernel drops every SYN. It lives on a thread that never
 * accepts, because Node's own servers always do.
 */
export async function silentPeer(t: ExecutionContext): Promise<Peer> {
  const code = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address())
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const worker = new Worker(code, { eval: true })
  const [address] = (await once(worker, 'message')) as [AddressInfo]
  const peer = addressOf(address)
  // Linux takes one more than the queue is said to be long.
  const fillers = [1, 2].map(() => connect(peer.port, '127.0.0.1').on('error', () => {}))
  t.teardown(async () => {
    for (const socket of fillers) socket.destroy()
    await worker.terminate()
  })
  await Promise.all(fillers.map((socket) => once(socket, 'connect')))
  return peer
}

export type Ending = 'end' | 'reset'

/** Everything that arrives, and how it ended. */
export function readAll(socket: Socket): Promise<{ readonly data: Buffer; readonly ending: Ending }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const timer = setTimeout(() => reject(new Error('the connection did not end in time')), 20_000)
    const finish = (ending: Ending): void => {
      clearTimeout(timer)
      resolve({ data: Buffer.concat(chunks), ending })
    }
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.once('end', () => finish('end'))
    socket.once('error', () => finish('reset'))
  })
}

/** Polls until true; fails the test after 10 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`never happened: ${what}`)
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function addressOf({ address, port }: AddressInfo): Peer {
  return { ip: parseIp(address) ?? LOOPBACK, port }
}

function unreachable(): never {
  throw new Error('127.0.0.1 is an address')
}
