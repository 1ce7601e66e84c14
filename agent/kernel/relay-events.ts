// What a relay engine and JavaScript tell each other, as values.

import type { RelayTimeouts } from '../model/connection-policy.ts'
import type { OUTCOME, COUNTERS } from './relay-layout.ts'
import type { Address, Fd } from './native-types.ts'

/** Called in the order in which things happened to a connection. */
export interface RelayEvents {
  /** `fd`: the client's socket, which stays the relay's; for peeking only, until the verdict. */
  accepted(connection: number, client: Address, destination: Address | undefined, fd: Fd): void
  readable(connection: number, waiting: number, over: boolean): void
  attemptFailed(connection: number, index: number, code: string, durationUs: number): void
  /** For an adopted connection `index` is the slot where its bytes are counted. */
  connected(connection: number, index: number, durationUs: number): void
  exhausted(connection: number): void
  /** The descriptor is the receiver's. */
  handedOver(connection: number, fd: Fd): void
  ended(connection: number, end: RelayEnd): void
  /** `times`: how often since the last event. ENOSPC: no slot was left, and so many connections were reset. */
  acceptFailed(code: string, times: number): void
}

export interface RelayEnd {
  readonly outcome: keyof typeof OUTCOME
  readonly bytes: { readonly fromClient: number; readonly fromEndpoint: number }
  readonly durationUs: number
  readonly client: RelayLeg | undefined
  readonly endpoint: RelayLeg | undefined
}

/** Of TCP_INFO. */
export interface RelayLeg {
  readonly rttUs: number
  readonly rttVarianceUs: number
  readonly retransmits: number
  readonly lost: number
}

export interface RelayConnect {
  /** One to six. */
  readonly candidates: readonly Address[]
  readonly mark: number
  readonly attemptTimeoutMs: number
  readonly deadlineMs: number
  readonly skipBytes: number
  /** At most 72 bytes. */
  readonly prefix?: Uint8Array
  readonly limits: RelayTimeouts
}

/** Gauges and counters since the start. */
export type RelayCounters = Readonly<Record<(typeof COUNTERS)[number], number>>
