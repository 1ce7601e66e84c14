// Asks the proxy that runs in this folder, if there is one, for its sockets. They come with its first answer, before Node
// reads from the socket: Node would drop them.

import os from 'node:os'
import { MAX_FD_MESSAGE_BYTES, type FdPassing, type ReceivedFds } from '../../kernel/fd-passing.ts'
import type { Fd } from '../../kernel/native-types.ts'
import { errnoOf } from '../../kernel/system-error.ts'
import type { Clock } from '../../model/clock.ts'
import { ShuntError } from '../../model/errors.ts'
import { failureError } from './failure-error.ts'
import type { NamedSocket } from './handover-server.ts'
import { HANDOVER_VERSION, predecessorMessage, type Answer } from './messages.ts'
import { ANSWER_TIMEOUT_MS, type Failure } from './successor-state.ts'

export interface CallParts {
  readonly clock: Clock
  readonly fdPassing: FdPassing
  readonly closeFd: (fd: Fd) => void
  readonly pid: number
  /** Inode of this process's network namespace. */
  readonly netns: number
  /** As whom a proxy of ours may run. */
  readonly uids: readonly number[]
}

export type Call =
  /** Nobody runs here: start as if alone. */
  | { readonly kind: 'nobody' }
  /** The caller's: the channel to the predecessor, and everything that it passed. */
  | {
      readonly kind: 'granted'
      readonly pid: number
      readonly channel: Fd
      readonly sockets: readonly NamedSocket[]
    }

const POLL_INTERVAL_MS = 2

/** Throws HANDOVER_FAILED if the one that runs refuses, does not answer in time, or is not ours; NOT_PERMITTED. */
export async function callPredecessor(path: string, parts: CallParts): Promise<Call> {
  const { clock, fdPassing, closeFd } = parts
  const channel = dial(path, parts)
  if (channel === undefined) return { kind: 'nobody' }
  const sockets: NamedSocket[] = []
  try {
    const { pid, uid } = fdPassing.unixPeer(channel)
    if (!parts.uids.includes(uid))
      throw new ShuntError('HANDOVER_FAILED', `${path} belongs to a process of user ${uid}`, {
        hint: 'find out who it is with `ss -xlp`; give this proxy a --run-dir of its own',
      })
    const hello = { kind: 'hello', version: HANDOVER_VERSION, pid: parts.pid, netns: parts.netns }
    fdPassing.sendFds(channel, Buffer.from(`${JSON.stringify(hello)}\n`), [])
    const deadlineMs = clock.monotonicMs() + ANSWER_TIMEOUT_MS
    for (;;) {
      const received = fdPassing.receiveFds(channel, MAX_FD_MESSAGE_BYTES)
      if (received === undefined) {
        if (clock.monotonicMs() >= deadlineMs) throw failed({ kind: 'silent', waitedFor: 'answer' }, pid)
        await new Promise<void>((resolve) => clock.after(POLL_INTERVAL_MS, resolve))
        continue
      }
      // It ended, in order or not, before it gave anything.
      if (received.message.length === 0 && sockets.length === 0) {
        closeFd(channel)
        return { kind: 'nobody' }
      }
      const answer = answerOf(received, closeFd)
      if (typeof answer === 'string') throw failed({ kind: 'broken', because: answer }, pid)
      if (answer.kind === 'refused') throw failed({ ...answer, kind: 'refused' }, answer.pid)
      sockets.push(
        ...answer.sockets.flatMap((name, index) => {
          const fd = received.fds[index]
          return fd === undefined ? [] : [{ name, fd }]
        }),
      )
      if (answer.last) return { kind: 'granted', pid: answer.pid, channel, sockets }
    }
  } catch (error) {
    closeFd(channel)
    for (const { fd } of sockets) closeFd(fd)
    throw error
  }
}

function dial(path: string, { fdPassing }: CallParts): Fd | undefined {
  try {
    return fdPassing.connectUnix(path)
  } catch (error) {
    const { ENOENT, ECONNREFUSED, EAGAIN } = os.constants.errno
    const errno = errnoOf(error)
    if (errno === ENOENT || errno === ECONNREFUSED) return undefined
    // Its queue is full of callers that it does not take.
    if (errno === EAGAIN) throw failed({ kind: 'silent', waitedFor: 'answer' }, undefined)
    throw error
  }
}

function failed(because: Failure, pid: number | undefined): ShuntError {
  return failureError(because, pid)
}

/** Descriptors without a readable message are closed. */
function answerOf({ message, fds }: ReceivedFds, closeFd: (fd: Fd) => void): Answer | string {
  const answer = parse(message)
  const count = typeof answer !== 'string' && answer.kind === 'granted' ? answer.sockets.length : 0
  if (typeof answer !== 'string' && fds.length === count) return answer
  for (const fd of fds) closeFd(fd)
  return typeof answer === 'string' ? answer : `it named ${count} sockets and sent ${fds.length}`
}

function parse(bytes: Uint8Array): Answer | string {
  const text = Buffer.from(bytes).toString()
  if (text === '') return 'it hung up in the middle'
  if (text.indexOf('\n') !== text.length - 1) return 'its answer is no line'
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return `its answer is not JSON: ${text.slice(0, 100)}`
  }
  const message = predecessorMessage(value)
  if (typeof message === 'string') return message
  return message.kind === 'granted' || message.kind === 'refused'
    ? message
    : message.kind === 'cancelled'
      ? message.because
      : `it answered ${message.kind} to a hello`
}
