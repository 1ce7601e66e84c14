// Whatever the objects say, the view of a plan is one that the proxy accepts, complete in itself, and follows changes.

import assert from 'node:assert/strict'
import test from 'ava'
import * as fc from 'fast-check'
import { buildPlan } from '#agent/plan/build.ts'
import { applyDelta } from '#agent/proxy/decision/apply.ts'
import { checkDelta, checkView } from '#agent/proxy/decision/view-check.ts'
import type { ProxyView } from '#agent/proxy/decision/view.ts'
import { diffView, publishView } from '#agent/sync/publish.ts'
import { arbitraryCase, arbitrarySnapshot, mixSnapshots } from '../support/arbitrary.ts'

/** Every reference of a steered Service port leads to an entry. */
function assertComplete({ frontends, services }: ProxyView): number {
  let backends = 0
  for (const { service: key } of Object.values(frontends)) {
    const service = services[key]
    assert.ok(service, key)
    for (const route of service.tlsRoutes ?? [])
      for (const backend of route.backends) {
        if (backend.service === null) continue
        backends++
        assert.ok(services[backend.service], backend.service)
      }
  }
  return backends
}

test('a view is accepted, complete, and a delta leads from one to the next', (t) => {
  const seen = { policies: 0, weights: 0, backends: 0 }
  fc.assert(
    fc.property(
      arbitraryCase({ packets: 0 }),
      arbitrarySnapshot(),
      fc.nat(2 ** 30 - 1),
      ({ snapshot, options }, other, mask) => {
        const first = buildPlan(snapshot, options)
        const next = mixSnapshots(snapshot, other, mask)
        const from = publishView(first, { epoch: 'e' })
        const to = publishView(buildPlan(next, options, { snapshot, plan: first }), { epoch: 'e' })
        const delta = checkDelta(JSON.parse(JSON.stringify(diffView(from, to))))
        assert.equal(delta.kind, 'ok')
        if (delta.kind === 'ok') assert.deepEqual(applyDelta(from, delta.value), { kind: 'ok', view: to })
        assert.deepEqual(checkView(JSON.parse(JSON.stringify(to))), { kind: 'ok', value: to })
        assert.deepEqual(publishView(buildPlan(next, options), { epoch: 'e' }), to)
        seen.backends += assertComplete(to)
        for (const { policy, cluster } of Object.values(to.services)) {
          if (policy !== undefined) seen.policies++
          if (cluster.some(({ weight }) => weight !== undefined)) seen.weights++
        }
      },
    ),
    { numRuns: 2_000 },
  )
  t.log(seen)
  t.true(Math.min(...Object.values(seen)) > 15, JSON.stringify(seen))
})
