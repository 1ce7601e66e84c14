// What a proxy process does around serving, whatever it serves with: its folders, its access log, its signals.

import { chown, mkdir } from 'node:fs/promises'
import { systemClock } from '../kernel/clock.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { openAccessLog, type AccessLog } from '../observe/access-log.ts'
import { LogGate } from './log-gate.ts'
import type { LinesPlace, ProxyOptions } from './options.ts'

export async function makeFolders({ paths, uid, gid }: ProxyOptions): Promise<void> {
  await mkdir(paths.runDir, { recursive: true, mode: 0o755 })
  await mkdir(paths.stateDir, { recursive: true, mode: 0o755 })
  if (!becomesAnother(uid)) return
  await chown(paths.stateDir, uid, gid)
  await chown(paths.lastView, uid, gid).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}

/** True if this process is root and is to give that up. */
export function becomesAnother(uid: number): boolean {
  return uid !== 0 && process.getuid?.() === 0
}

/** Opened as root, like everything that belongs to root. */
export function accessLogAt(place: LinesPlace, metrics: Metrics, log: Log): AccessLog {
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

/** What was thrown where nobody caught it is a bug, and no reason to drop every connection. Answers how to stop hearing. */
export function hearSignals(log: Log, stop: () => void): () => void {
  const told = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'asked to stop')
    stop()
  }
  const survive = (error: unknown): void => log.error({ error }, 'a bug was met; serving goes on')
  process.on('SIGTERM', told).on('SIGINT', told).on('uncaughtException', survive)
  return () => void process.off('SIGTERM', told).off('SIGINT', told).off('uncaughtException', survive)
}
