// Clients and endpoints inside a network namespace: one JSON command a line on stdin, one JSON answer on stdout.

import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

export type PeerCommand =
  /** Echoes, after a line with its own name. */
  | { readonly kind: 'serve'; readonly ip: string; readonly port: number; readonly name: string }
  /** Sends, ends, and reads everything. */
  | { readonly kind: 'dial'; readonly ip: string; readonly port: number; readonly send: string }
  /** Opens and keeps; `say` talks over it later. */
  | { readonly kind: 'hold'; readonly ip: string; readonly port: number }
  | { readonly kind: 'say'; readonly text: string }
  /** Opens and keeps many at once; `data` is a JSON object of how many met which ending. */
  | { readonly kind: 'flood'; readonly ip: string; readonly port: number; readonly count: number }
  /** So many connections, 50 at a time, that end in every way that a client can; resolves when all are over. */
  | { readonly kind: 'storm'; readonly ip: string; readonly port: number; readonly count: number }
  /** Opens, sends a byte, and resets after 200 ms. */
  | { readonly kind: 'abort'; readonly ip: string; readonly port: number }
  /** Closes all that are kept. */
  | { readonly kind: 'release' }

export interface PeerAnswer {
  readonly data: string
  /** `end`, `open`, or the name of the errno. */
  readonly ending: string
}

const held: ReturnType<typeof connect>[] = []

function run(command: PeerCommand): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    switch (command.kind) {
      case 'serve': {
        const server = createServer({ allowHalfOpen: true }, (socket) => {
          socket.on('error', () => {})
          socket.write(`${command.name}\n`)
          socket.pipe(socket)
        })
        server.on('error', (error: NodeJS.ErrnoException) =>
          resolve({ data: '', ending: error.code ?? 'error' }),
        )
        server.listen(command.port, command.ip, () => resolve({ data: '', ending: 'open' }))
        return
      }
      case 'dial':
      case 'hold': {
        const socket = connect({ host: command.ip, port: command.port, allowHalfOpen: true })
        let data = ''
        const finish = (ending: string): void => {
          clearTimeout(timer)
          resolve({ data, ending })
        }
        const timer = setTimeout(() => {
          socket.destroy()
          finish('timeout')
        }, 8_000)
        socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'error'))
        socket.on('data', (chunk: Buffer) => {
          data += chunk.toString()
          if (command.kind === 'hold') finish('open')
        })
        socket.once('end', () => finish('end'))
        if (command.kind === 'dial') socket.end(command.send)
        else held.push(socket)
        return
      }
      case 'flood': {
        const counts: Record<string, number> = {}
        let left = command.count
        const note = (ending: string): void => {
          counts[ending] = (counts[ending] ?? 0) + 1
          if (--left === 0) resolve({ data: JSON.stringify(counts), ending: 'end' })
        }
        for (let i = 0; i < command.count; i++)
          void run({ kind: 'hold', ip: command.ip, port: command.port }).then(({ ending }) => note(ending))
        return
      }
      case 'storm': {
        let started = 0
        let over = 0
        const next = (): void => {
          if (started >= command.count) return
          misbehave(command.ip, command.port, started++, () => {
            if (++over === command.count) resolve({ data: '', ending: 'end' })
            next()
          })
        }
        for (let i = 0; i < 50; i++) next()
        return
      }
      case 'abort': {
        const socket = connect({ host: command.ip, port: command.port })
        socket.on('error', () => {})
        socket.write('x')
        setTimeout(() => socket.resetAndDestroy(), 200)
        socket.once('close', () => resolve({ data: '', ending: 'closed' }))
        return
      }
      case 'release':
        for (const socket of held.splice(0)) socket.destroy()
        return resolve({ data: '', ending: 'end' })
      case 'say': {
        const socket = held[0]
        if (socket === undefined || socket.destroyed) return resolve({ data: '', ending: 'closed' })
        socket.once('data', (chunk: Buffer) => resolve({ data: chunk.toString(), ending: 'open' }))
        socket.once('close', () => resolve({ data: '', ending: 'closed' }))
        socket.write(command.text)
        return
      }
    }
  })
}

function misbehave(ip: string, port: number, number: number, over: () => void): void {
  const socket = connect({ host: ip, port, allowHalfOpen: true })
  socket.on('error', () => {})
  socket.once('close', over)
  socket.once('end', () => socket.end())
  socket.resume()
  switch (number % 6) {
    case 0:
      socket.end('in order')
      break
    case 1:
      socket.end()
      break
    case 2:
      socket.once('connect', () => socket.resetAndDestroy())
      break
    case 3:
      socket.write(Buffer.alloc(100_000))
      socket.once('data', () => socket.resetAndDestroy())
      break
    case 4:
      socket.once('data', () => socket.destroy())
      break
    default:
      socket.write('x')
      setTimeout(() => socket.end(), 5)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line) as PeerCommand)
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit(0)
