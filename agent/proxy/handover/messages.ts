// What the two proxies say to each other during a hand-over, one JSON document a line, and its decoders. A sentence
// instead of a message says what is wrong with it. The hello and the answer to it never change their shape, so that
// proxies of all versions can at least refuse each other in plain words.

import type { Family } from '../../model/ip.ts'
import { isPort, type Port } from '../../model/port.ts'
import { isObject } from '../decision/reasons.ts'

/** Of everything behind the answer. */
export const HANDOVER_VERSION = 1

/** From the successor, which starts, to the predecessor, which runs. */
export type SuccessorMessage =
  | Hello
  /** It has the sockets. */
  | { readonly kind: 'received' }
  /** It has read the state, has a view, and could accept at once. */
  | { readonly kind: 'ready' }
  /** It accepts, and its heart beats. */
  | { readonly kind: 'serving' }
  /** It gives up, and will end. */
  | { readonly kind: 'failed'; readonly because: string }

export interface Hello {
  readonly kind: 'hello'
  readonly version: number
  readonly pid: number
  /** Inode of its network namespace: sockets could be passed into another one, but would be of no use there. */
  readonly netns: number
}

export type PredecessorMessage =
  | Answer
  /** In parts, so that neither side stops for long over a large one. */
  | { readonly kind: 'state'; readonly part: unknown }
  /** That was all of it. */
  | { readonly kind: 'described' }
  /** It will not change its mind: begin to accept. */
  | { readonly kind: 'go' }
  /** It goes on as before; the successor must not accept. */
  | { readonly kind: 'cancelled'; readonly because: string }
  /** It accepts no more. Said at once after `serving`, and again until its connections have ended. */
  | DrainingReport

/** Several in a row if the sockets do not fit into one message. */
export type Answer =
  | {
      readonly kind: 'granted'
      readonly version: number
      readonly pid: number
      /** Of the descriptors that come with this message, in their order. */
      readonly sockets: readonly SocketName[]
      readonly last: boolean
    }
  | {
      readonly kind: 'refused'
      readonly version: number
      readonly pid: number
      readonly because: Refusal
    }

export type Refusal =
  /** They do not speak the same version. */
  | 'version'
  /** It is in another network namespace. */
  | 'netns'
  /** Another successor is taking over. */
  | 'busy'
  /** It was told to stop, or has handed over already. */
  | 'stopping'

export type SocketName =
  | { readonly role: 'lock' | 'admin' | 'handover' }
  | { readonly role: 'metrics'; readonly ip: string; readonly port: Port }
  | { readonly role: 'listener'; readonly family: Family; readonly port: Port }
  /** The channel on which an earlier predecessor tells how it drains. */
  | { readonly role: 'draining'; readonly pid: number }

export interface DrainingReport {
  readonly kind: 'draining'
  readonly pid: number
  /** That live on in it. */
  readonly connections: number
  /** Milliseconds since 1970. */
  readonly sinceMs: number
  /** When it resets what is left; null: never. */
  readonly untilMs: number | null
}

export function successorMessage(value: unknown): SuccessorMessage | string {
  if (!isObject(value)) return 'a message is no object'
  const { kind } = value
  switch (kind) {
    case 'hello':
      return hello(value)
    case 'received':
    case 'ready':
    case 'serving':
      return { kind }
    case 'failed':
      return { kind, because: sentence(value['because']) }
    default:
      return unknownKind(kind)
  }
}

export function predecessorMessage(value: unknown): PredecessorMessage | string {
  if (!isObject(value)) return 'a message is no object'
  const { kind } = value
  switch (kind) {
    case 'granted':
    case 'refused':
      return answer(value)
    case 'state':
      return { kind, part: value['part'] }
    case 'described':
    case 'go':
      return { kind }
    case 'cancelled':
      return { kind, because: sentence(value['because']) }
    case 'draining':
      return drainingReport(value)
    default:
      return unknownKind(kind)
  }
}

function hello({ version, pid, netns }: Readonly<Record<string, unknown>>): Hello | string {
  return isCount(version) && isCount(pid) && isCount(netns)
    ? { kind: 'hello', version, pid, netns }
    : 'a hello lacks version, pid or netns'
}

function answer(value: Readonly<Record<string, unknown>>): Answer | string {
  const { kind, version, pid, because, sockets, last } = value
  if (!isCount(version) || !isCount(pid)) return 'an answer lacks version or pid'
  if (kind === 'refused') return { kind, version, pid, because: refusal(because) }
  if (!Array.isArray(sockets) || typeof last !== 'boolean') return 'an answer lacks its sockets'
  const names = sockets.map(socketName)
  const wrong = names.find((name) => typeof name === 'string')
  return typeof wrong === 'string'
    ? wrong
    : {
        kind: 'granted',
        version,
        pid,
        sockets: names.filter((name) => typeof name !== 'string'),
        last,
      }
}

/** A reason that a later version invents is a refusal all the same. */
function refusal(because: unknown): Refusal {
  return because === 'version' || because === 'netns' || because === 'busy' ? because : 'stopping'
}

function socketName(value: unknown): SocketName | string {
  if (!isObject(value)) return 'the name of a socket is no object'
  const { role, ip, port, family, pid } = value
  if (role === 'lock' || role === 'admin' || role === 'handover') return { role }
  if (role === 'metrics' && typeof ip === 'string' && isPort(port)) return { role, ip, port }
  if (role === 'listener' && (family === 'IPv4' || family === 'IPv6') && isPort(port))
    return { role, family, port }
  if (role === 'draining' && isCount(pid)) return { role, pid }
  return `a socket has the unknown name ${JSON.stringify(value).slice(0, 100)}`
}

function drainingReport(value: Readonly<Record<string, unknown>>): DrainingReport | string {
  const { pid, connections, sinceMs, untilMs } = value
  return isCount(pid) && isCount(connections) && isCount(sinceMs) && (untilMs === null || isCount(untilMs))
    ? { kind: 'draining', pid, connections, sinceMs, untilMs }
    : 'a report of a draining proxy lacks a number'
}

function unknownKind(kind: unknown): string {
  return `messages of kind ${JSON.stringify(kind)} are unknown`
}

function sentence(value: unknown): string {
  return (typeof value === 'string' ? value : 'no reason given').slice(0, 1_000)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
