// The composition root of the proxy process: makes what needs root (folders, sockets, listeners, pins, netlink), gives
// root up, serves until a signal, drains.

import { once } from 'node:events'
import { chown, mkdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import { systemClock } from '../kernel/clock.ts'
import { openHeartbeat } from '../kernel/heartbeat.ts'
import { loadNative } from '../kernel/native.ts'
import type { Native } from '../kernel/native-types.ts'
import { fdOf } from '../kernel/original-destination.ts'
import { takeRunLock } from '../kernel/run-lock.ts'
import { openSteerListeners, type ListeningSocket, type SteerListeners } from '../kernel/steer-socket.ts'
import { ShuntError } from '../model/errors.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { openAccessLog, type AccessLog } from '../observe/access-log.ts'
import { serveHttp, type HttpServer } from '../observe/http-json.ts'
import { createMetrics } from '../observe/metrics.ts'
import { accessFields, accessText } from './access-line.ts'
import { adminRoutes } from './admin.ts'
import { connectionLimit } from './connection-limit.ts'
import { LISTEN_BACKLOG } from './engine/stream-engine.ts'
import { LogGate } from './log-gate.ts'
import { watchLoopDelay } from './loop-delay.ts'
import type { LinesPlace, ProxyOptions } from './options.ts'
import { chooseRelay } from './relay.ts'
import { RunningProxy } from './running-proxy.ts'

/**
 * Serves until SIGTERM or SIGINT, then drains; a second signal drains in a hurry. Resolves with the exit code. Throws
 * ALREADY_RUNNING, ADDRESS_IN_USE, NOT_PERMITTED, or NATIVE_UNAVAILABLE: without the addon there is no heartbeat, so
 * that no connection would ever come.
 */
export async function runProxy(options: ProxyOptions, log: Log): Promise<number> {
  const loaded = loadNative()
  if (loaded.kind === 'absent') throw new ShuntError('NATIVE_UNAVAILABLE', loaded.because)
  const { native } = loaded
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  await using open = new AsyncDisposableStack()

  await makeFolders(options)
  const lock = await takeRunLock('proxy', options.paths.runDir)
  open.defer(() => lock.release())

  const degraded: string[] = []
  const listeners = listenersOf(options, native, [])
  if (listeners.skLookup.kind === 'off') {
    log.warn({ because: listeners.skLookup.because }, 'sk_lookup is off; DNAT alone can steer')
    degraded.push(`sk_lookup is off: ${listeners.skLookup.because}`)
  }
  const maxConnections = connectionLimit(options.maxConnections, await readFile('/proc/self/limits', 'utf8'))
  const accessLog = options.accessLog === undefined ? undefined : accessLogAt(options.accessLog, metrics, log)
  if (accessLog !== undefined) open.defer(() => accessLog.close())
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
  })
  metrics.beforeText((scraped) => proxy.publish(scraped))
  const admin = adminRoutes({
    status: () => proxy.status(),
    connections: () => proxy.connections(),
    endpoints: () => proxy.endpoints(),
    view: () => proxy.view(),
    metrics: () => metrics.text(),
  })
  const servers: HttpServer[] = [
    await serveHttp({ kind: 'unix', path: options.paths.proxySocket }, admin, log),
  ]
  open.defer(() => Promise.all(servers.map((server) => server.close())).then(() => {}))
  if (options.metricsAddress !== undefined) {
    const { ip: host, port } = options.metricsAddress
    const routes = { 'GET /metrics': admin['GET /metrics'] }
    servers.push(await serveHttp({ kind: 'tcp', host, port }, routes, log))
  }
  if (relay.kind === 'stream' && !(await tellsDescriptors(options.paths.proxySocket)))
    degraded.push('this version of Node does not tell descriptors of sockets: DNAT cannot steer')
  giveUpRoot(options, native, log)

  const stopWatching = watchLoopDelay(systemClock, metrics)
  open.defer(stopWatching)
  const signals = hearSignals(proxy, log)
  open.defer(signals.forget)
  await proxy.prepare()
  proxy.begin()
  log.info({ pid: process.pid, uid: process.getuid?.(), port: options.port }, 'the proxy is ready')
  await signals.drained
  return 0
}

/** Opened as root, like everything that belongs to root. */
function accessLogAt(place: LinesPlace, metrics: Metrics, log: Log): AccessLog {
  const gate = new LogGate(systemClock)
  return openAccessLog(place, {
    clock: systemClock,
    onDrop: (lines) => metrics.add('shunt_proxy_access_log_dropped_total', {}, lines),
    onError: (error) =>
      gate.pass('access log', (suppressed) =>
        log.warn({ error, suppressed }, 'the access log cannot be written; its lines wait, then are dropped'),
      ),
  })
}

async function makeFolders({ paths, uid, gid }: ProxyOptions): Promise<void> {
  await mkdir(paths.runDir, { recursive: true, mode: 0o755 })
  await mkdir(paths.stateDir, { recursive: true, mode: 0o755 })
  if (!becomesAnother(uid)) return
  await chown(paths.stateDir, uid, gid)
  await chown(paths.lastView, uid, gid).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}

/**
 * The listening sockets of this process, in the socket map: those that a predecessor handed over (`received`), and new
 * ones beside them until every worker has one of each family.
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
    perFamily: workerCount(options.workers),
    received,
  })
}

/** 0: one for each CPU that this process may use. */
function workerCount(wanted = 0): number {
  return wanted === 0 ? availableParallelism() : wanted
}

/** The one undocumented thing that the stream engine rests on, tried on a socket like any other. */
async function tellsDescriptors(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath)
  try {
    await once(socket, 'connect')
    return fdOf(socket) !== undefined
  } finally {
    socket.destroy()
  }
}

/** Capabilities belong to threads: those that the engines start later inherit what is left. */
function giveUpRoot({ uid, gid }: ProxyOptions, native: Native, log: Log): void {
  if (!becomesAnother(uid)) return
  native.dropPrivileges({ uid, gid, keepCapabilities: ['NET_ADMIN', 'NET_BIND_SERVICE'] })
  log.info({ uid, gid }, 'gave up root')
}

function becomesAnother(uid: number): boolean {
  return uid !== 0 && process.getuid?.() === 0
}

/** What was thrown where nobody caught it is a bug, and no reason to drop every connection. */
function hearSignals(
  proxy: RunningProxy,
  log: Log,
): { readonly drained: Promise<void>; readonly forget: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const drain = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'asked to stop')
    proxy.drain().then(resolve, reject)
  }
  const survive = (error: unknown): void => log.error({ error }, 'a bug was met; serving goes on')
  process.on('SIGTERM', drain).on('SIGINT', drain).on('uncaughtException', survive)
  return {
    drained: promise,
    forget: () => void process.off('SIGTERM', drain).off('SIGINT', drain).off('uncaughtException', survive),
  }
}
