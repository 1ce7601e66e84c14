// The composition root of the proxy process: makes what needs root (folders, sockets, listeners, pins, netlink), gives
// root up, serves until a signal, drains.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { systemClock } from '../kernel/clock.ts'
import { openHeartbeat } from '../kernel/heartbeat.ts'
import { dropStartGarbage } from '../kernel/heap.ts'
import { loadNative, type NativeLoad } from '../kernel/native.ts'
import type { Native } from '../kernel/native-types.ts'
import { fdOf } from '../kernel/original-destination.ts'
import { openSteerListeners, type ListeningSocket, type SteerListeners } from '../kernel/steer-socket.ts'
import type { Log } from '../model/log.ts'
import type { AccessLog } from '../observe/access-log.ts'
import { serveHttp, type HttpServer } from '../observe/http-json.ts'
import { createMetrics, type MetricsRegistry } from '../observe/metrics.ts'
import { claimSocketPath } from '../observe/unix-socket.ts'
import { accessFields, accessText } from './access-line.ts'
import { adminRoutes } from './admin.ts'
import { runProxyWithoutAddon } from './app-without-addon.ts'
import { connectionLimit } from './connection-limit.ts'
import { LISTEN_BACKLOG } from './engine/stream-engine.ts'
import type { DrainingProxies } from './handover/draining-proxies.ts'
import { HandoverServer } from './handover/handover-server.ts'
import { nameSockets, type ProxySockets } from './handover/proxy-sockets.ts'
import { networkNamespace, takePlace, trustedUsers } from './handover/take-place.ts'
import { watchLoopDelay } from './loop-delay.ts'
import { DEFAULT_DRAIN_MS, DEFAULT_HANDOVER_DRAIN_MS, type ProxyOptions } from './options.ts'
import { accessLogAt, becomesAnother, hearSignals, makeFolders } from './process.ts'
import { chooseRelay } from './relay.ts'
import { RunningProxy } from './running-proxy.ts'

/** By then a view has come, and what came with it is read. */
const SETTLED_MS = 1_000

/**
 * Serves until SIGTERM or SIGINT, then drains; a second signal drains in a hurry. Where a proxy runs already in this folder
 * it takes over from that one (`tookOver` is called when it has), and lets a later one take over in turn. Resolves with the
 * exit code. Throws ALREADY_RUNNING, HANDOVER_FAILED, ADDRESS_IN_USE or NOT_PERMITTED.
 */
export async function runProxy(
  options: ProxyOptions,
  log: Log,
  loaded: NativeLoad = loadNative(),
  tookOver = (): void => {},
): Promise<number> {
  if (loaded.kind === 'absent') return runProxyWithoutAddon(options, log, loaded.because)
  const { native } = loaded
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  const ended = Promise.withResolvers<number>()
  await using open = new AsyncDisposableStack()

  await makeFolders(options)
  const { sockets, draining, succession } = await takePlace(options, {
    native,
    clock: systemClock,
    log: log.child({ component: 'handover' }),
    claim: claimSocketPath,
    revoked: (error) => {
      log.error({ error }, 'the predecessor took its place back')
      retire(options.drainMs ?? DEFAULT_DRAIN_MS, 1)
    },
  })
  open.defer(() => {
    sockets.lock.release()
    draining.release()
    succession?.channel.destroy()
  })

  const accessLog = options.accessLog === undefined ? undefined : accessLogAt(options.accessLog, metrics, log)
  if (accessLog !== undefined) open.defer(() => accessLog.close())
  const proxy = await prepareProxy(options, { native, log, metrics, sockets, draining, accessLog })
  const servers: HttpServer[] = []
  open.defer(() => Promise.all(servers.map((server) => server.close())).then(() => {}))
  const handover = new HandoverServer({
    clock: systemClock,
    log: log.child({ component: 'handover' }),
    metrics,
    fdPassing: native.fdPassing,
    pid: process.pid,
    netns: networkNamespace(),
    uids: trustedUsers(options),
    sockets: () => nameSockets(options, sockets, proxy.listenerFds(), draining.sockets()),
    state: () => proxy.tellState(),
    // 0 is as long as they last.
    retire: () => retire((options.handoverDrainMs ?? DEFAULT_HANDOVER_DRAIN_MS) || undefined, 0),
    drain: () => ({ connections: 0, sinceMs: systemClock.wallMs(), untilMs: null, ...proxy.draining() }),
  })
  open.defer(() => handover.close())
  giveUpRoot(options, native, log)

  const stopWatching = watchLoopDelay(systemClock, metrics)
  open.defer(stopWatching)
  const forget = hearSignals(log, () => {
    handover.stop()
    proxy.drain().then(() => ended.resolve(0), ended.reject)
  })
  open.defer(forget)

  if (succession === undefined) await answer()
  await begin()
  await handover.listen(sockets.handover)
  log.info({ pid: process.pid, uid: process.getuid?.(), port: options.port }, 'the proxy is ready')
  open.defer(systemClock.after(SETTLED_MS, dropStartGarbage))
  return await ended.promise

  /** Accepts; in the place of a predecessor as soon as that one says so. */
  async function begin(): Promise<void> {
    try {
      await proxy.prepare(await succession?.state())
      await succession?.ready()
      proxy.begin()
      if (succession !== undefined) await answer()
    } catch (error) {
      succession?.abandon(error)
      proxy.abandon()
      throw error
    }
    if (succession === undefined) return
    succession.serving()
    metrics.add('shunt_proxy_handovers_total', { role: 'took', result: 'completed' })
    tookOver()
  }

  /** On the admin socket, and where metrics are served. */
  async function answer(): Promise<void> {
    const admin = adminRoutes({
      status: () => proxy.status(),
      connections: () => proxy.connections(),
      endpoints: () => proxy.endpoints(),
      view: () => proxy.view(),
      metrics: () => metrics.text(),
    })
    servers.push(await serveHttp({ kind: 'fd', fd: sockets.admin }, admin, log))
    if (sockets.metrics === undefined) return
    const routes = { 'GET /metrics': admin['GET /metrics'] }
    servers.push(await serveHttp({ kind: 'fd', fd: sockets.metrics }, routes, log))
  }

  /** Another process serves here. What was passed on stays open there. */
  function retire(drainMs: number | undefined, code: number): void {
    for (const server of servers) void server.close()
    sockets.lock.release()
    draining.release()
    proxy.retire(drainMs).then(() => ended.resolve(code), ended.reject)
  }
}

interface Foundation {
  readonly native: Native
  readonly log: Log
  readonly metrics: MetricsRegistry
  readonly sockets: ProxySockets
  readonly draining: DrainingProxies
  readonly accessLog: AccessLog | undefined
}

async function prepareProxy(options: ProxyOptions, parts: Foundation): Promise<RunningProxy> {
  const { native, log, metrics, draining, accessLog } = parts
  const degraded: string[] = []
  const listeners = listenersOf(options, native, parts.sockets.listeners)
  if (listeners.skLookup.kind === 'off') {
    log.warn({ because: listeners.skLookup.because }, 'sk_lookup is off; DNAT alone can steer')
    degraded.push(`sk_lookup is off: ${listeners.skLookup.because}`)
  }
  const maxConnections = connectionLimit(options.maxConnections, await readFile('/proc/self/limits', 'utf8'))
  const relay = chooseRelay(options.relay ?? 'auto', {
    native,
    clock: systemClock,
    listenerPort: options.port,
    maxConnections,
  })
  if (relay.degraded !== undefined) {
    log.warn({}, relay.degraded)
    degraded.push(relay.degraded)
  }
  const proxy = new RunningProxy(options, {
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
    pid: process.pid,
    uid: () => process.getuid?.() ?? 0,
    sockets: listeners.sockets,
    closeSocket: (fd) => native.closeFd(fd),
    workers: relay.kind === 'stream' ? 1 : workerCount(options.workers),
    makeEngine: relay.makeEngine,
    maxConnections,
    heartbeat: openHeartbeat(native),
    skLookup: listeners.skLookup.kind === 'attached',
    ...(accessLog === undefined
      ? {}
      : { accessLog: (record) => accessLog.write(accessFields(record), () => accessText(record)) }),
    degraded: () => degraded,
    predecessors: () => draining.list(),
  })
  metrics.beforeText((scraped) => proxy.publish(scraped))
  if (relay.kind === 'stream' && !(await tellsDescriptors()))
    degraded.push('this version of Node does not tell descriptors of sockets: DNAT cannot steer')
  return proxy
}

/**
 * The listening sockets of this process, in the socket map: those that a predecessor handed over (`received`), or one of
 * each family for every worker.
 */
function listenersOf(
  options: ProxyOptions,
  native: Native,
  received: readonly ListeningSocket[],
): SteerListeners {
  return openSteerListeners(native, {
    pinDir: options.paths.pinDir,
    port: options.port,
    backlog: LISTEN_BACKLOG,
    // What is added joins the others at once; nobody would accept from it until the predecessor has retired.
    perFamily: received.length > 0 ? 1 : workerCount(options.workers),
    received,
  })
}

/** 0: one for each CPU that this process may use. */
function workerCount(wanted = 0): number {
  return wanted === 0 ? availableParallelism() : wanted
}

/** The one undocumented thing that the stream engine rests on, tried on a socket like any other. */
async function tellsDescriptors(): Promise<boolean> {
  const server = createServer().listen(`\0shunt-probe-${process.pid}`)
  await once(server, 'listening')
  const tells = fdOf(server) !== undefined
  server.close()
  return tells
}

/** Capabilities belong to threads: those that the engines start later inherit what is left. */
function giveUpRoot({ uid, gid }: ProxyOptions, native: Native, log: Log): void {
  if (!becomesAnother(uid)) return
  // Compiled code is kept beside the code, where the new user may not write. Without it the next start would load the
  // compiler, which then stays in memory.
  flushCompileCache()
  native.dropPrivileges({ uid, gid, keepCapabilities: ['NET_ADMIN', 'NET_BIND_SERVICE'] })
  log.info({ uid, gid }, 'gave up root')
}
