// What makes a process the proxy of its run folder: the lock, and everything that listens. All of it is either made by this
// process, as root, or received from the one before; nothing has to be given back by name.

import type { Fd, Native } from '../../kernel/native-types.ts'
import { inheritRunLock, takeRunLock, type RunLock } from '../../kernel/run-lock.ts'
import type { ListeningSocket } from '../../kernel/steer-socket.ts'
import { ShuntError } from '../../model/errors.ts'
import type { ProxyOptions } from '../options.ts'
import { failureError } from './failure-error.ts'
import type { NamedSocket } from './handover-server.ts'

export interface ProxySockets {
  readonly lock: RunLock
  /** Unix, mode 0600. */
  readonly admin: Fd
  /** Unix, mode 0600. */
  readonly handover: Fd
  /** undefined: not served. */
  readonly metrics: Fd | undefined
  /** Those that were received; what is missing is made beside them. */
  readonly listeners: readonly ListeningSocket[]
  /** Channels of proxies that still drain. */
  readonly draining: readonly { readonly pid: number; readonly fd: Fd }[]
}

type SocketOptions = Pick<ProxyOptions, 'paths' | 'port' | 'metricsAddress'>

/** Callers that wait while the event loop is busy. */
const BACKLOG = 128

/**
 * Of a process that starts alone. `claim` removes what a dead one left under a path. Throws ALREADY_RUNNING,
 * ADDRESS_IN_USE or NOT_PERMITTED.
 */
export async function makeSockets(
  { paths, metricsAddress }: SocketOptions,
  native: Native,
  claim: (path: string) => Promise<void>,
): Promise<ProxySockets> {
  const lock = await takeRunLock('proxy', paths.runDir)
  const made: Fd[] = []
  const own = (fd: Fd): Fd => {
    made.push(fd)
    return fd
  }
  try {
    const unix = async (path: string): Promise<Fd> => {
      await claim(path)
      return own(native.fdPassing.listenUnix(path, 0o600, BACKLOG))
    }
    return {
      lock,
      admin: await unix(paths.proxySocket),
      handover: await unix(paths.handoverSocket),
      metrics: metricsAddress === undefined ? undefined : own(listenMetrics(native, metricsAddress)),
      listeners: [],
      draining: [],
    }
  } catch (error) {
    for (const fd of made) native.closeFd(fd)
    lock.release()
    throw error
  }
}

/** Of a process that takes over. Owns what was received, and closes what it has no use for. Throws HANDOVER_FAILED. */
export function sortSockets(
  { port, metricsAddress }: SocketOptions,
  native: Native,
  pid: number,
  received: readonly NamedSocket[],
): ProxySockets {
  const the = (role: 'lock' | 'admin' | 'handover'): Fd => {
    const found = received.find(({ name }) => name.role === role)
    if (found === undefined)
      throw failureError({ kind: 'broken', because: `it did not pass the socket ${role}` }, pid)
    return found.fd
  }
  const listeners: ListeningSocket[] = []
  const draining: { pid: number; fd: Fd }[] = []
  let metrics: Fd | undefined
  for (const { name, fd } of received) {
    if (name.role === 'draining') draining.push({ pid: name.pid, fd })
    if (name.role === 'listener') {
      if (name.port !== port)
        throw new ShuntError(
          'HANDOVER_FAILED',
          `the running proxy (pid ${pid}) serves port ${name.port}, this one is to serve port ${port}`,
          { hint: 'stop the running one first: a change of the port is no hand-over' },
        )
      listeners.push({ family: name.family, fd })
    }
    if (name.role === 'metrics') {
      if (metricsAddress?.ip === name.ip && metricsAddress.port === name.port) metrics = fd
      else native.closeFd(fd)
    }
  }
  if (metricsAddress !== undefined) metrics ??= listenMetrics(native, metricsAddress)
  return {
    lock: inheritRunLock(native, the('lock')),
    admin: the('admin'),
    handover: the('handover'),
    metrics,
    listeners,
    draining,
  }
}

/** Everything, under the names that sortSockets knows; without the lock, if Node does not tell its descriptor, nothing. */
export function nameSockets(
  { port, metricsAddress }: SocketOptions,
  { lock, admin, handover, metrics }: ProxySockets,
  listeners: readonly ListeningSocket[],
  draining: readonly NamedSocket[],
): readonly NamedSocket[] {
  if (lock.fd === undefined)
    throw new ShuntError('INTERNAL', 'this version of Node does not tell the descriptor of the lock')
  return [
    { name: { role: 'lock' }, fd: lock.fd },
    { name: { role: 'admin' }, fd: admin },
    { name: { role: 'handover' }, fd: handover },
    ...(metrics === undefined || metricsAddress === undefined
      ? []
      : [{ name: { role: 'metrics', ...metricsAddress } as const, fd: metrics }]),
    ...listeners.map(({ family, fd }) => ({ name: { role: 'listener', family, port } as const, fd })),
    ...draining,
  ]
}

function listenMetrics(native: Native, { ip, port }: NonNullable<ProxyOptions['metricsAddress']>): Fd {
  return native.listenTcp({ ip, port, backlog: BACKLOG, transparent: false, reusePort: false, v6only: true })
}
