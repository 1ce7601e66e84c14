// Same semantics at L4 and in the proxy: for a steered frontend, the proxy's decision over the published view has exactly
// the endpoints that explain() gives the kernel, for every client and every packet.

import assert from 'node:assert/strict'
import test from 'ava'
import * as fc from 'fast-check'
import { hostPort } from '#agent/model/ip.ts'
import { PROXY_PORT } from '#agent/model/steering-names.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { explain } from '#agent/plan/explain.ts'
import { decide, type DecideState } from '#agent/proxy/decision/decide.ts'
import { wouldLoop } from '#agent/proxy/decision/loop.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import { publishView } from '#agent/sync/publish.ts'
import { arbitraryCase } from '../support/arbitrary.ts'

test('the proxy chooses among the endpoints that the plan names, by the same kind of client', (t) => {
  let connected = 0
  let looped = 0
  fc.assert(
    fc.property(arbitraryCase({ packets: 60 }), ({ snapshot, options, world, packets }) => {
      // Weights and routes by name choose differently on purpose; without them the two may not differ.
      const plain = { ...snapshot, policies: new Map<never, never>(), routes: new Map<never, never>() }
      const plan = buildPlan(plain, {
        ...options,
        steer: 'always',
        steering: { mechanism: 'sk_lookup', proxyPort: PROXY_PORT },
      })
      const view = publishView(plan, { epoch: 'e' })
      const state: DecideState = {
        nowMs: 0,
        affinity: { find: () => undefined },
        local: world.localAddresses,
        listenerPort: PROXY_PORT,
        openConnections: 0,
        maxConnections: 1,
        draining: false,
        traffic: new Traffic(),
        maxCandidates: Infinity,
      }
      for (const packet of packets) {
        const { outcome, match } = explain(plan, packet, world)
        if (outcome.kind !== 'forward' || !outcome.steered) continue
        const flow = {
          client: { ip: packet.source, port: 40_000 },
          destination: { ip: packet.destination, port: packet.port },
        }
        const decision = decide(flow, view, state, () => 0.5)
        const service = match && view.services[match.service]
        if (service?.tlsRoutes !== undefined) {
          // Its endpoints are those of a route's backend, which the name in the first bytes decides.
          assert.equal(decision.kind, 'peek')
          continue
        }
        const expected = outcome.endpoints
          .map(({ endpoint }) => endpoint)
          .filter((endpoint) => !wouldLoop(endpoint, view, state.local, PROXY_PORT))
          .map(({ ip, port }) => hostPort(ip, port))
        if (expected.length === 0) {
          looped++
          assert.equal(decision.kind === 'refuse' && decision.because, 'loop')
          continue
        }
        connected++
        if (decision.kind !== 'connect')
          return assert.fail(`refused: ${JSON.stringify({ packet, decision })}`)
        const chosen = decision.candidates.map(({ ip, port }) => hostPort(ip, port)).sort()
        assert.deepEqual(chosen, expected.toSorted())
        assert.equal(decision.service, match?.service)
        assert.equal(decision.affinitySeconds, outcome.affinitySeconds)
      }
    }),
    { numRuns: 800 },
  )
  t.log({ connected, looped })
  t.true(connected > 500, `only ${connected} connections were compared`)
})
