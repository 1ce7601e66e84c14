// Which engine relays: the native one, or Node's sockets where that one does not start.

import { originalDestination } from '../kernel/original-destination.ts'
import type { Native } from '../kernel/native-types.ts'
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Port } from '../model/port.ts'
import { nativeDialer } from './engine/dialer.ts'
import type { Engine, EngineEvents, EngineKind } from './engine/engine.ts'
import { NativeEngine } from './engine/native-engine.ts'
import { streamDestination } from './engine/stream-destination.ts'
import { StreamEngine } from './engine/stream-engine.ts'
import type { RelayChoice } from './options.ts'

export interface Relay {
  readonly kind: EngineKind
  /** Starts threads, which inherit what this one may do. */
  readonly makeEngine: (events: EngineEvents) => Engine
  /** Why it is not the native one, although nobody asked for another. */
  readonly degraded: string | undefined
}

export interface RelayParts {
  readonly native: Native
  readonly clock: Clock
  readonly listenerPort: Port
  /** Of the whole proxy; one worker may get all of them. */
  readonly maxConnections: number
}

/** Beyond the limit, for connections that are being refused. */
const SPARE_SLOTS = 1_024

/** Tries the native engine. Throws what the system said if that does not start and no other may be taken. */
export function chooseRelay(choice: RelayChoice, parts: RelayParts): Relay {
  if (choice === 'stream') return streamRelay(parts, undefined)
  const refusal = refusalOf(parts)
  if (refusal === undefined) return nativeRelay(parts)
  if (choice === 'native') throw refusal.error
  return streamRelay(
    parts,
    `connections are relayed in JavaScript, because the native engine does not start: ${messageOf(refusal.error)}`,
  )
}

/** One that is started and ended again. */
function refusalOf({ native, clock }: RelayParts): { readonly error: unknown } | undefined {
  try {
    new NativeEngine({
      clock,
      open: (options) => native.relay(options),
      connections: 1,
      events: NO_EVENTS,
    }).close()
    return undefined
  } catch (error) {
    return { error }
  }
}

function nativeRelay({ native, clock, maxConnections }: RelayParts): Relay {
  return {
    kind: 'native',
    degraded: undefined,
    makeEngine: (events) =>
      new NativeEngine({
        clock,
        open: (options) => native.relay(options),
        connections: maxConnections + SPARE_SLOTS,
        events,
      }),
  }
}

function streamRelay({ native, clock, listenerPort }: RelayParts, degraded: string | undefined): Relay {
  return {
    kind: 'stream',
    degraded,
    makeEngine: (events) =>
      new StreamEngine({
        clock,
        dialer: nativeDialer(() => native.connector()),
        destination: streamDestination(listenerPort, (socket) => originalDestination(native, socket)),
        place: (fd) => ({ fd: native.duplicateFd(fd) }),
        events,
      }),
  }
}

const NO_EVENTS: EngineEvents = {
  accepted: () => {},
  readable: () => {},
  attemptFailed: () => {},
  connected: () => {},
  exhausted: () => {},
  handedOver: () => {},
  ended: () => {},
  acceptFailed: () => {},
}
