// Descriptors between two sockets of one process: what arrives is the same open socket, under a number of its own.

import test, { type ExecutionContext } from 'ava'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer, connect, Socket, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { MAX_FD_MESSAGE_BYTES, MAX_PASSED_FDS } from '#agent/kernel/fd-passing.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { fdOf } from '#agent/kernel/original-destination.ts'
import { errnoOf } from '#agent/kernel/system-error.ts'
import type { Ip } from '#agent/model/ip.ts'
import os from 'node:os'

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded
const { fdPassing } = native

interface Ends {
  /** Node's end. */
  readonly served: Socket
  /** A descriptor of the addon. */
  readonly called: number
  readonly path: string
}

async function ends(t: ExecutionContext): Promise<Ends> {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-fds-'))
  const path = join(folder, 'socket')
  const server = createServer()
  const fd = fdPassing.listenUnix(path, 0o600, 4)
  await listening(server, fd)
  const called = fdPassing.connectUnix(path)
  const [served] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    served.destroy()
    server.close()
    native.closeFd(called)
    rmSync(folder, { recursive: true })
  })
  return { served, called, path }
}

async function listening(server: Server, fd: number): Promise<void> {
  server.listen({ fd })
  await once(server, 'listening')
}

test('a listening socket that was passed accepts after its first owner closed it', async (t) => {
  const { served, called } = await ends(t)
  const listener = native.listenTcp({
    ip: '127.0.0.1' as Ip,
    port: 0,
    backlog: 8,
    transparent: false,
    reusePort: false,
    v6only: true,
  })
  t.is(fdPassing.receiveFds(called, 100), undefined)
  fdPassing.sendFds(fdOf(served) ?? -1, Buffer.from('take it'), [listener])
  native.closeFd(listener)
  const received = fdPassing.receiveFds(called, 100)
  t.is(Buffer.from(received?.message ?? []).toString(), 'take it')
  t.is(received?.fds.length, 1)

  const server = createServer((socket) => socket.end('hello'))
  await listening(server, received?.fds[0] ?? -1)
  const address = server.address()
  const client = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  const [data] = (await once(client, 'data')) as [Buffer]
  t.is(data.toString(), 'hello')
  server.close()
})

test('Node goes on with the stream where the descriptors ended', async (t) => {
  const { served, called } = await ends(t)
  fdPassing.sendFds(fdOf(served) ?? -1, Buffer.from('first'), [called])
  const received = fdPassing.receiveFds(called, 100)
  for (const fd of received?.fds ?? []) native.closeFd(fd)
  const socket = new Socket({ fd: received === undefined ? -1 : dup(called) })
  served.write('second')
  const [data] = (await once(socket, 'data')) as [Buffer]
  t.is(data.toString(), 'second')
  socket.destroy()

  /** The socket gets a descriptor of its own, as in a process that calls. */
  function dup(fd: number): number {
    fdPassing.sendFds(fdOf(served) ?? -1, Buffer.from('x'), [fd])
    return fdPassing.receiveFds(called, 1)?.fds[0] ?? -1
  }
})

test('both ends know who the other is, the end is an empty message, and the file is private', async (t) => {
  const { served, called, path } = await ends(t)
  const own = { pid: process.pid, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  t.deepEqual(fdPassing.unixPeer(fdOf(served) ?? -1), own)
  t.deepEqual(fdPassing.unixPeer(called), own)
  t.is(statSync(path).mode & 0o777, 0o600)
  served.destroy()
  await once(served, 'close')
  t.is(fdPassing.receiveFds(called, 100)?.message.length, 0)
})

test('what cannot be is refused with its reason', async (t) => {
  const { called, path } = await ends(t)
  t.throws(() => fdPassing.sendFds(called, new Uint8Array(), []), { code: 'INTERNAL' })
  t.throws(() => fdPassing.sendFds(called, new Uint8Array(MAX_FD_MESSAGE_BYTES + 1), []), {
    code: 'INTERNAL',
  })
  t.throws(
    () =>
      fdPassing.sendFds(
        called,
        Buffer.from('x'),
        Array.from({ length: MAX_PASSED_FDS + 1 }, () => 0),
      ),
    {
      code: 'INTERNAL',
    },
  )
  t.throws(() => fdPassing.listenUnix(path, 0o600, 1), { code: 'ADDRESS_IN_USE' })
  const missing = t.throws(() => fdPassing.connectUnix(`${path}.none`))
  t.is(errnoOf(missing), os.constants.errno.ENOENT)
})
