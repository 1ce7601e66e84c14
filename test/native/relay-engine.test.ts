// The native relay under everything that an engine must do, and the stream engine on sockets of the addon.

import { systemClock } from '#agent/kernel/clock.ts'
import { loadNative } from '#agent/kernel/native.ts'
import { nativeDialer } from '#agent/proxy/engine/dialer.ts'
import { NativeEngine } from '#agent/proxy/engine/native-engine.ts'
import { streamDestination } from '#agent/proxy/engine/stream-destination.ts'
import { StreamEngine } from '#agent/proxy/engine/stream-engine.ts'
import { engineSuite } from '../proxy/engine/engine-suite.ts'
import { onListener, socketSuite, type MakeEngine } from '../proxy/engine/suite-sockets.ts'

const loaded = loadNative()
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded

const engines: Readonly<Record<string, MakeEngine>> = {
  'native engine': (events) =>
    new NativeEngine({
      clock: systemClock,
      open: (options) => native.relay(options),
      connections: 4_096,
      events,
    }),
  'stream engine on the addon': (events, port) =>
    new StreamEngine({
      clock: systemClock,
      dialer: nativeDialer(() => native.connector()),
      destination: streamDestination(port, () => undefined),
      place: (fd) => ({ fd: native.duplicateFd(fd) }),
      events,
    }),
}

for (const [name, make] of Object.entries(engines)) {
  engineSuite(name, onListener(native, make))
  socketSuite(name, native, make)
}
