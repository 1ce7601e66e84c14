import test from 'ava'
import { DEFAULT_OUTLIER_POLICY } from '#agent/model/connection-policy.ts'
import { endpointStates, publishEjected } from '#agent/proxy/endpoint-states.ts'
import { CLIENT, startIntake, STEERED } from './intake-lab.ts'
import { WEB } from './views.ts'

test('tells what is open, what failed, and who is ejected and for how long', async (t) => {
  const lab = startIntake({
    endpoints: ['10.0.0.1:80', '10.0.0.2:80'],
    policy: {
      outlier: { ...DEFAULT_OUTLIER_POLICY, consecutiveFailures: 2, baseEjectionMs: 30_000, panicPercent: 0 },
    },
  })
  t.deepEqual(endpointStates(lab.traffic, lab.clock.monotonicMs()), { endpoints: [] })
  // The draw of this intake never changes, so the first choice is the same each time.
  const bad = '10.0.0.2:80'
  for (let i = 0; i < 2; i++) {
    const id = lab.engine.accept(CLIENT, STEERED)
    t.deepEqual(lab.candidates(id), [bad, '10.0.0.1:80'])
    lab.engine.events.attemptFailed(id, 0, 'ECONNREFUSED', 100)
    lab.engine.events.connected(id, 1, 100)
  }
  await lab.clock.advance(1_000)
  const { endpoints } = endpointStates(lab.traffic, lab.clock.monotonicMs())
  const states = new Map(endpoints.map((each) => [each.endpoint, each]))
  t.is(endpoints.length, 2)
  t.deepEqual(states.get(bad), {
    service: WEB,
    endpoint: bad,
    connections: 0,
    failures: 0,
    ejectedForMs: 29_000,
    ejections: 1,
  })
  publishEjected(lab.traffic, lab.metrics, lab.clock.monotonicMs())
  t.is(lab.metrics.value('shunt_proxy_endpoints_ejected', { service: WEB }), 1)
  publishEjected(lab.traffic, lab.metrics, lab.clock.monotonicMs() + 30_000)
  t.is(lab.metrics.value('shunt_proxy_endpoints_ejected', { service: WEB }), 0)
  t.like(states.get('10.0.0.1:80'), { connections: 2, failures: 0, ejectedForMs: null, ejections: 0 })
})
