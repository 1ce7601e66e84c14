// How a starting proxy gets what makes it the proxy of its run folder: from the one that runs there, or, if nobody does, by
// making it.

import { statSync } from 'node:fs'
import type { Native } from '../../kernel/native-types.ts'
import type { Clock } from '../../model/clock.ts'
import type { ShuntError } from '../../model/errors.ts'
import type { Log } from '../../model/log.ts'
import type { ProxyOptions } from '../options.ts'
import { callPredecessor, type Call } from './call-predecessor.ts'
import { DrainingProxies } from './draining-proxies.ts'
import { makeSockets, sortSockets, type ProxySockets } from './proxy-sockets.ts'
import { Succession } from './succession.ts'

export interface Place {
  readonly sockets: ProxySockets
  /** Proxies that handed over and still have connections. */
  readonly draining: DrainingProxies
  /** undefined: nobody served here. */
  readonly succession: Succession | undefined
}

export interface TakePlaceParts {
  readonly native: Native
  readonly clock: Clock
  readonly log: Log
  /** Removes what a dead process left under a socket's path. */
  readonly claim: (path: string) => Promise<void>
  /** This process serves and must stop: the predecessor took its place back. */
  readonly revoked: (error: ShuntError) => void
}

/** Throws ALREADY_RUNNING (a proxy that does not hand over, or none is wanted), HANDOVER_FAILED, and what opening throws. */
export async function takePlace(options: ProxyOptions, parts: TakePlaceParts): Promise<Place> {
  const { native, clock, log } = parts
  const draining = new DrainingProxies(log)
  const call: Call =
    options.handover === 'never'
      ? { kind: 'nobody' }
      : await callPredecessor(options.paths.handoverSocket, {
          clock,
          fdPassing: native.fdPassing,
          closeFd: (fd) => native.closeFd(fd),
          pid: process.pid,
          netns: networkNamespace(),
          uids: trustedUsers(options),
        })
  if (call.kind === 'nobody')
    return { sockets: await makeSockets(options, native, parts.claim), draining, succession: undefined }
  log.info({ predecessor: call.pid, sockets: call.sockets.length }, 'taking over from a running proxy')
  let followed: ReturnType<DrainingProxies['follow']> | undefined
  const succession = new Succession(call.channel, {
    clock,
    log,
    pid: call.pid,
    report: (report) => {
      followed ??= draining.follow(call.pid, succession.channel)
      followed.report(report)
    },
    gone: () => followed?.gone(),
    revoked: parts.revoked,
  })
  try {
    const sockets = sortSockets(options, native, call.pid, call.sockets)
    for (const { pid, fd } of sockets.draining) draining.inherit(pid, fd)
    return { sockets, draining, succession }
  } catch (error) {
    succession.abandon(error)
    throw error
  }
}

/** Who may take over, and from whom: root, and whom a proxy becomes. */
export function trustedUsers({ uid }: ProxyOptions): readonly number[] {
  return [0, uid, process.getuid?.() ?? 0]
}

/** Inode of the namespace of this thread. */
export function networkNamespace(): number {
  return statSync('/proc/thread-self/ns/net').ino
}
