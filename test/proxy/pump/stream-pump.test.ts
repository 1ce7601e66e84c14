import { systemClock } from '#agent/kernel/clock.ts'
import { createStreamPump } from '#agent/proxy/pump/stream-pump.ts'
import { pumpSuite, socketLeg } from './pump-suite.ts'

pumpSuite('stream pump', createStreamPump(systemClock), socketLeg)
