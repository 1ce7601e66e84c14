// The native relay under everything that an engine must do, and the stream engine on sockets of the addon.

import { ADDON_PATH, loadNative } from '#agent/kernel/native.ts'
import { systemClock } from '#agent/kernel/clock.ts'
import { parseIp } from '#agent/model/ip.ts'
import type { Engine, EngineEvents } from '#agent/proxy/engine/engine.ts'
import { nativeDialer } from '#agent/proxy/engine/dialer.ts'
import { NativeEngine } from '#agent/proxy/engine/native-engine.ts'
import { streamDestination } from '#agent/proxy/engine/stream-destination.ts'
import { StreamEngine } from '#agent/proxy/engine/stream-engine.ts'
import { engineSuite } from '../proxy/engine/engine-suite.ts'
import type { OpenEngine } from '../proxy/engine/engine-lab.ts'
import { listenOnLoopback } from '../support/native-listener.ts'

const loaded = loadNative(ADDON_PATH)
if (loaded.kind === 'absent') throw new Error(loaded.because)
const { native } = loaded

const nativeEngine = (events: EngineEvents): Engine =>
  new NativeEngine({
    clock: systemClock,
    open: (options) => native.relay(options),
    connections: 4_096,
    events,
  })

const streamEngine = (events: EngineEvents, port: number): Engine =>
  new StreamEngine({
    clock: systemClock,
    dialer: nativeDialer(() => native.connector()),
    destination: streamDestination(port, () => undefined),
    duplicate: (fd) => native.duplicateFd(fd),
    events,
  })

const onListener =
  (make: (events: EngineEvents, port: number) => Engine): OpenEngine =>
  async (t, events, host) => {
    const { fd, port } = await listenOnLoopback(t, native, parseIp(host) ?? never())
    const engine = make(events, port)
    engine.addListener(fd)
    return { engine, port }
  }

engineSuite('native engine', onListener(nativeEngine))
engineSuite('stream engine on the addon', onListener(streamEngine))

function never(): never {
  throw new Error('the suite dials addresses')
}
