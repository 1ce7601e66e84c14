// Which engine a proxy takes, and what it says when that is not the one that people expect.

import test from 'ava'
import { loadNative } from '#agent/kernel/native.ts'
import type { Native } from '#agent/kernel/native-types.ts'
import { chooseRelay } from '#agent/proxy/relay.ts'
import { manualClock } from '../support/manual-clock.ts'
import { silentEvents } from './silent-events.ts'

const parts = (native: Pick<Native, 'relay'>) => ({
  native: native as Native,
  clock: manualClock(),
  listenerPort: 15001,
  maxConnections: 100,
})

const REFUSING = {
  relay: () => {
    throw new Error('pthread_create: Resource temporarily unavailable')
  },
}

test('where the native engine does not start, Node relays, and that is said with the reason', (t) => {
  const relay = chooseRelay('auto', parts(REFUSING))
  t.is(relay.kind, 'stream')
  t.regex(relay.degraded ?? '', /relayed in JavaScript.*pthread_create: Resource temporarily unavailable/)
})

test('who insists on the native engine hears what the system said', (t) => {
  t.throws(() => chooseRelay('native', parts(REFUSING)), { message: /pthread_create/ })
})

test('who asks for Node’s sockets gets them, and nothing is missing', (t) => {
  const relay = chooseRelay('stream', parts(REFUSING))
  t.like(relay, { kind: 'stream', degraded: undefined })
})

test('where the addon is built the native engine is taken', (t) => {
  const load = loadNative()
  if (load.kind === 'absent') throw new Error(load.because)
  for (const choice of ['auto', 'native'] as const) {
    const relay = chooseRelay(choice, parts(load.native))
    t.like(relay, { kind: 'native', degraded: undefined })
    const engine = relay.makeEngine(silentEvents())
    t.like(engine.status(), { kind: 'native', connections: 0 })
    t.is(engine.failure?.(), undefined)
    engine.close()
  }
})
