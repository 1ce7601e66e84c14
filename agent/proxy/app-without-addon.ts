// The composition root of a proxy on a host where the addon does not load: Node's sockets relay, DNAT alone steers, and
// the programs ipset and conntrack, started as root, stand in for netlink and socket options. One worker, no hand-over,
// and no mark on the way to an endpoint: that an endpoint is never a steered address keeps connections from coming back.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type ListenOptions, type Socket } from 'node:net'
import { systemClock } from '../kernel/clock.ts'
import { watchDestinations, type DestinationWatch } from '../kernel/destination-watch.ts'
import { hasFamily } from '../kernel/families.ts'
import { openProgramHeartbeat } from '../kernel/program-heartbeat.ts'
import { takeRunLock } from '../kernel/run-lock.ts'
import type { ListeningSocket } from '../kernel/steer-socket.ts'
import { ShuntError } from '../model/errors.ts'
import { FAMILIES, type Family } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import { isPort, type Port } from '../model/port.ts'
import { serveHttp } from '../observe/http-json.ts'
import { createMetrics } from '../observe/metrics.ts'
import { accessFields, accessText } from './access-line.ts'
import { adminRoutes } from './admin.ts'
import { connectionLimit } from './connection-limit.ts'
import type { SocketAddress } from './engine/engine.ts'
import { plainDialer } from './engine/plain-dialer.ts'
import { StreamEngine } from './engine/stream-engine.ts'
import type { ProxyOptions } from './options.ts'
import { accessLogAt, becomesAnother, hearSignals, makeFolders } from './process.ts'
import { RunningProxy } from './running-proxy.ts'
import { socketIp } from './socket-ip.ts'

/**
 * Serves until SIGTERM or SIGINT, then drains. `because`: what loading the addon said. Resolves with the exit code. Throws
 * ALREADY_RUNNING, ADDRESS_IN_USE, PROGRAM_MISSING, or NATIVE_UNAVAILABLE if just the native relay will do.
 */
export async function runProxyWithoutAddon(
  options: ProxyOptions,
  log: Log,
  because: string,
): Promise<number> {
  if (options.relay === 'native') throw new ShuntError('NATIVE_UNAVAILABLE', because)
  const degraded = [
    `connections are relayed in JavaScript, DNAT alone steers, and there is no hand-over: ${because}`,
  ]
  log.warn({ because }, 'without the addon connections are relayed in JavaScript, and DNAT alone can steer')
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  const ended = Promise.withResolvers<number>()
  await using open = new AsyncDisposableStack()

  await makeFolders(options)
  const lock = await takeRunLock('proxy', options.paths.runDir)
  open.defer(() => lock.release())
  const families = FAMILIES.filter(hasFamily)
  for (const family of families) await mustBeFree(placeOf(family, options.port))
  const accessLog = options.accessLog === undefined ? undefined : accessLogAt(options.accessLog, metrics, log)
  if (accessLog !== undefined) open.defer(() => accessLog.close())
  const watch = watchDestinations(options.port)
  open.defer(() => watch.close())

  const proxy = new RunningProxy(options, {
    clock: systemClock,
    random: Math.random,
    log,
    metrics,
    pid: process.pid,
    uid: () => process.getuid?.() ?? 0,
    sockets: families.map((family) => numbered(family)),
    closeSocket: () => {},
    workers: 1,
    makeEngine: (events) =>
      new StreamEngine({
        clock: systemClock,
        dialer: plainDialer,
        destination: (socket) => dialled(socket, options.port, watch),
        place: (number) => placeOf(familyNumbered(number), options.port),
        events,
      }),
    maxConnections: connectionLimit(options.maxConnections, await readFile('/proc/self/limits', 'utf8')),
    heartbeat: openProgramHeartbeat(),
    skLookup: false,
    ...(accessLog === undefined
      ? {}
      : { accessLog: (record) => accessLog.write(accessFields(record), () => accessText(record)) }),
    degraded: () => (watch.problem === undefined ? degraded : [...degraded, watch.problem]),
    predecessors: () => [],
  })
  metrics.beforeText((scraped) => proxy.publish(scraped))
  const admin = adminRoutes({
    status: () => proxy.status(),
    connections: () => proxy.connections(),
    endpoints: () => proxy.endpoints(),
    view: () => proxy.view(),
    metrics: () => metrics.text(),
  })
  const adminServer = await serveHttp({ kind: 'unix', path: options.paths.proxySocket }, admin, log)
  open.defer(() => adminServer.close())
  if (options.metricsAddress !== undefined) {
    const { ip: host, port } = options.metricsAddress
    const routes = { 'GET /metrics': admin['GET /metrics'] }
    const server = await serveHttp({ kind: 'tcp', host, port }, routes, log)
    open.defer(() => server.close())
  }
  giveUpRoot(options, log)
  open.defer(hearSignals(log, () => void proxy.drain().then(() => ended.resolve(0), ended.reject)))
  await proxy.prepare()
  proxy.begin()
  log.info({ pid: process.pid, uid: process.getuid?.(), port: options.port }, 'the proxy is ready')
  return await ended.promise
}

/** There are no descriptors to name listeners by; the number stands for the family. */
function numbered(family: Family): ListeningSocket {
  return { family, fd: FAMILIES.indexOf(family) }
}

function familyNumbered(number: number): Family {
  return FAMILIES[number] ?? 'IPv4'
}

function placeOf(family: Family, port: Port): ListenOptions {
  return family === 'IPv4' ? { host: '0.0.0.0', port } : { host: '::', port, ipv6Only: true }
}

async function mustBeFree(place: ListenOptions): Promise<void> {
  const server = createServer().listen(place)
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new ShuntError('ADDRESS_IN_USE', `another process listens on port ${place.port}`, { cause })
  }
  server.close()
  await once(server, 'close')
}

/** DNAT alone steers: a connection that nobody tells of dialled the proxy itself. */
async function dialled(
  socket: Socket,
  listenerPort: Port,
  watch: DestinationWatch,
): Promise<SocketAddress | undefined> {
  const client = socketIp(socket.remoteAddress)
  const ip = socketIp(socket.localAddress)
  if (client === undefined || ip === undefined || !isPort(socket.remotePort)) return undefined
  return (await watch.find({ ip: client, port: socket.remotePort })) ?? { ip, port: listenerPort }
}

/** No capability is left: those programs have theirs that were started before. */
function giveUpRoot({ uid, gid }: ProxyOptions, log: Log): void {
  if (!becomesAnother(uid)) return
  process.setgroups?.([])
  process.setgid?.(gid)
  process.setuid?.(uid)
  log.info({ uid, gid }, 'gave up root')
}
