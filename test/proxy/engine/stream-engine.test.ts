import { systemClock } from '#agent/kernel/clock.ts'
import { plainDialer } from '#agent/proxy/engine/plain-dialer.ts'
import { streamDestination } from '#agent/proxy/engine/stream-destination.ts'
import { StreamEngine } from '#agent/proxy/engine/stream-engine.ts'
import { engineSuite } from './engine-suite.ts'

engineSuite('stream engine', async (_, events, host) => {
  const engine = new StreamEngine({
    clock: systemClock,
    dialer: plainDialer,
    destination: streamDestination(15001, () => undefined),
    place: (fd) => ({ fd }),
    events,
  })
  const { port } = await engine.listenOn({ host, port: 0 })
  return { engine, port }
})
