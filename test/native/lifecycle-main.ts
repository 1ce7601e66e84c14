// Ends itself at one stage of the addon's life; see lifecycle.test.ts. Arguments: stage, path of the addon.

import { readFileSync, readlinkSync } from 'node:fs'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'

import { ADDON_PATH, loadNative } from '#agent/kernel/native.ts'
import type { Ip } from '#agent/model/ip.ts'

const [, , stage = '', path = ADDON_PATH] = process.argv
/** Reserved for documentation: nobody answers, so that connections stay pending. */
const NOBODY = '192.0.2.1' as Ip
const LOOPBACK = '127.0.0.1' as Ip

const load = loadNative(path)
if (load.kind === 'absent') throw new Error(load.because)
const { native } = load

switch (stage) {
  case 'loaded':
    break
  case 'exit-with-idle-connector':
    native.connector()
    break
  case 'exit-with-pending':
    pendingConnections(10)
    process.exit(0)
    break
  case 'exit-with-undelivered': {
    const connector = native.connector()
    const fd = native.listenTcp({
      ip: LOOPBACK,
      port: 0,
      backlog: 64,
      transparent: false,
      reusePort: false,
      v6only: true,
    })
    const port = portOf(fd)
    for (let i = 0; i < 32; i++) void connector.connect({ ip: LOOPBACK, port }).result
    // The results come in while this thread does not look.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    process.exit(0)
    break
  }
  case 'close-in-callback': {
    const connector = native.connector()
    const waiting = connector.connect({ ip: NOBODY, port: 9 })
    const refused = await connector.connect({ ip: LOOPBACK, port: 1 }).result
    connector.close()
    connector.close()
    process.stdout.write(`${refused.kind} ${(await waiting.result).kind}\n`)
    break
  }
  case 'netlink-open':
    native.netlink('route')
    break
  case 'garbage':
    for (let i = 0; i < 50; i++) {
      const connector = native.connector()
      native.netlink('route').close()
      connector.close()
      gc?.()
    }
    break
  case 'terminated-worker':
    if (isMainThread) {
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(fileURLToPath(import.meta.url), { argv: ['terminated-worker', path] })
        await new Promise((resolve) => worker.once('message', resolve))
        await worker.terminate()
      }
      pendingConnections(1)
    } else {
      pendingConnections(10)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads has no origin
      parentPort?.postMessage('pending')
      setInterval(() => undefined, 1000)
    }
    break
  case 'uncaught':
    pendingConnections(3)
    setTimeout(() => {
      throw new Error('on purpose')
    }, 20)
    break
  default:
    throw new Error(`no stage ${stage}`)
}
if (isMainThread && stage !== 'uncaught') {
  process.stdout.write('done\n')
  // Pending connections would keep the loop alive for minutes.
  if (stage === 'terminated-worker') process.exit(0)
}

function pendingConnections(count: number): void {
  const connector = native.connector()
  for (let i = 0; i < count; i++) void connector.connect({ ip: NOBODY, port: 9 }).result
}

function portOf(fd: number): number {
  // The kernel chose it; /proc/net/tcp lists listening sockets of this namespace by inode.
  const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? ''
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((row) => row.trim().split(/\s+/)[9] === inode)
  return Number.parseInt(line?.trim().split(/\s+/)[1]?.split(':')[1] ?? '0', 16)
}
