// Which engine relays: the native one, or Node's sockets where that one does not start.

import { originalDestination } from '../kernel/original-destination.ts'
import type { Native } from '../kernel/native-types.ts'
import type { Clock } from '../model/clock.ts'
import type { Engine, EngineEvents, EngineKind } from './engine/engine.ts'
import { nativeDialer } from './engine/dialer.ts'
import { streamDestination } from './engine/stream-destination.ts'
import { StreamEngine } from './engine/stream-engine.ts'
import type { ProxyOptions } from './options.ts'

export interface Relay {
  readonly kind: EngineKind
  readonly makeEngine: (events: EngineEvents) => Engine
}

export function chooseRelay({ port }: ProxyOptions, native: Native, clock: Clock): Relay {
  return {
    kind: 'stream',
    makeEngine: (events) =>
      new StreamEngine({
        clock,
        dialer: nativeDialer(() => native.connector()),
        destination: streamDestination(port, (socket) => originalDestination(native, socket)),
        duplicate: (fd) => native.duplicateFd(fd),
        events,
      }),
  }
}
