// Ends itself at one stage of the addon's life; see lifecycle.test.ts. Arguments: stage, path of the addon.

import { readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'

import { ADDON_PATH, loadNative } from '#agent/kernel/native.ts'
import { kernelSteering } from '#agent/datapath/steer/kernel-steering.ts'
import { conntrack } from '#agent/kernel/conntrack.ts'
import { openHeartbeat } from '#agent/kernel/heartbeat.ts'
import type { NativeRelay } from '#agent/kernel/native-relay.ts'
import type { RelayEvents } from '#agent/kernel/relay-events.ts'
import type { Ip } from '#agent/model/ip.ts'

const [, , stage = '', path = ADDON_PATH] = process.argv
/** The neighbour that never answers. */
const NOBODY = '192.0.2.1' as Ip
const LOOPBACK = '127.0.0.1' as Ip

const UNHEARD: RelayEvents = {
  accepted: () => {},
  readable: () => {},
  attemptFailed: () => {},
  connected: () => {},
  exhausted: () => {},
  handedOver: () => {},
  ended: () => {},
  acceptFailed: () => {},
}

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
    // Only a stage that is what it says tests anything.
    await Promise.race([...pendingConnections(10), sleep(100).then(() => process.stdout.write('pending\n'))])
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
  case 'exit-with-relay':
    await relayed(4)
    process.stdout.write('relayed\n')
    process.exit(0)
    break
  case 'close-relay-in-callback': {
    const { relay, ended } = await relayed(2)
    relay.abort(0)
    relay.close()
    relay.close()
    process.stdout.write(`${ended()}\n`)
    process.exit(0)
    break
  }
  case 'netlink-open':
    native.netlink('route')
    break
  case 'steer': {
    const steering = kernelSteering(native, { pinDir: process.argv[4] ?? '' })
    await steering.probe()
    for (const mechanism of ['sk_lookup', 'sk_lookup', 'dnat', 'sk_lookup', 'off'] as const) {
      await steering.prepare(mechanism)
      const keys = [{ ip: LOOPBACK, port: 80 }]
      await steering.add(keys)
      await steering.read()
      await steering.remove(keys)
    }
    conntrack(native.netlink('netfilter')).entries()
    openHeartbeat(native).beat()
    // The kernel refuses all of these; none may do more than throw.
    for (const refused of [
      () => native.closeFd(1_000_000),
      () => native.setSocketMark(0, 1),
      () => native.originalDestination(0, 'IPv4'),
      () => native.bpf.mapUpdate(0, new Uint8Array(20), new Uint8Array(1)),
      () => native.bpf.tryLoad('/nonexistent.o'),
      () => native.bpf.tryLoad('/proc/self/exe'),
      () => native.netlink('route').request(new Uint8Array(3)),
      () => native.netlink('route').request(new Uint8Array(64).fill(0xff)).errno === 0 || fail(),
    ]) {
      try {
        refused()
        process.stdout.write(`not refused: ${String(refused)}\n`)
      } catch {
        // as it should be
      }
    }
    break
  }
  case 'garbage':
    for (let i = 0; i < 50; i++) {
      const connector = native.connector()
      native.relay({ connections: 16, events: UNHEARD }).close()
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
      void pendingConnections(1)
    } else {
      void pendingConnections(10)
      await relayed(2)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads has no origin
      parentPort?.postMessage('pending')
      setInterval(() => undefined, 1000)
    }
    break
  case 'uncaught':
    void pendingConnections(3)
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

function pendingConnections(count: number): Promise<unknown>[] {
  const connector = native.connector()
  return Array.from({ length: count }, () => connector.connect({ ip: NOBODY, port: 9 }).result)
}

/** An engine with so many connections that wait for a verdict, and its thread that goes on. */
async function relayed(count: number): Promise<{ relay: NativeRelay; ended: () => number }> {
  const fd = native.listenTcp({
    ip: LOOPBACK,
    port: 0,
    backlog: 64,
    transparent: false,
    reusePort: false,
    v6only: true,
  })
  const port = portOf(fd)
  let accepted = 0
  let ended = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const events: RelayEvents = {
    ...UNHEARD,
    accepted: () => {
      if (++accepted === count) resolve()
    },
    ended: () => ended++,
  }
  const relay = native.relay({ connections: 1024, events })
  relay.addListener(fd)
  const connector = native.connector()
  for (let i = 0; i < count; i++) void connector.connect({ ip: LOOPBACK, port }).result
  await promise
  return { relay, ended: () => ended }
}

function fail(): never {
  throw new Error('refused')
}

function portOf(fd: number): number {
  // The kernel chose it; /proc/net/tcp lists listening sockets of this namespace by inode.
  const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? ''
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((row) => row.trim().split(/\s+/)[9] === inode)
  return Number.parseInt(line?.trim().split(/\s+/)[1]?.split(':')[1] ?? '0', 16)
}
