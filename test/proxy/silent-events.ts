// Events of an engine that nobody listens to.

import type { EngineEvents } from '#agent/proxy/engine/engine.ts'

export function silentEvents(): EngineEvents {
  return {
    accepted: () => {},
    readable: () => {},
    attemptFailed: () => {},
    connected: () => {},
    exhausted: () => {},
    handedOver: () => {},
    ended: () => {},
    acceptFailed: () => {},
  }
}
