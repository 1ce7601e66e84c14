// Moves bytes between the two legs of a connection and knows nothing of policy. `Leg` is what an implementation moves
// bytes between: net.Socket for the stream pump, a file descriptor for a relay outside of JavaScript.

import type { PumpEnd, Side } from '../session-state.ts'

export interface Pump<Leg> {
  /** Takes both legs over: whatever happens, it closes them, and calls `ended` exactly once and last. */
  start(client: Leg, endpoint: Leg, limits: PumpLimits, events: PumpEvents): Relay
}

export interface Relay {
  /** So far. */
  bytes(): RelayedBytes
  /** Resets both sides; `ended` hears `aborted`. Nothing if it ended already. */
  abort(): void
}

export interface PumpEvents {
  /** This side will send no more; what it sent has been read. */
  sideClosed(by: Side): void
  ended(end: PumpEnd): void
}

/** Payload that was read from each side. */
export interface RelayedBytes {
  readonly fromClient: number
  readonly fromEndpoint: number
}

/** What ends connections whose peers are alive and silent; dead peers are found by TCP keep-alive. */
export interface PumpLimits {
  /** No byte either way. */
  readonly idleMs: number
  /** No byte either way, after one side closed. */
  readonly halfClosedMs: number
  /** Not one byte since the start. */
  readonly silentMs: number
}

/**
 * The silence that a connection survives without the proxy: kube-proxy sets conntrack's timeout of established
 * connections to a day and that of half-closed ones to an hour (row 71), so steering a Service shortens nobody's life.
 * Two hours without a first byte is a client that only takes up room.
 */
export const DEFAULT_PUMP_LIMITS: PumpLimits = {
  idleMs: 24 * 3_600_000,
  halfClosedMs: 3_600_000,
  silentMs: 2 * 3_600_000,
}
