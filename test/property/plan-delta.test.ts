// Laws of differences: between Plans, and between the proxy's views of them.

import assert from 'node:assert/strict'
import test from 'ava'
import * as fc from 'fast-check'
import { FAMILIES, familyOf } from '#agent/model/ip.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { diffPlan, isEmptyDelta, patchPlan } from '#agent/plan/diff.ts'
import { summarizeDelta } from '#agent/plan/summary.ts'
import type { Frontend, Plan, ServicePortPlan } from '#agent/plan/plan.ts'
import { applyDelta } from '#agent/proxy/decision/apply.ts'
import { diffView, publishView } from '#agent/sync/publish.ts'
import { arbitraryOptions, arbitrarySnapshot, mixSnapshots } from '../support/arbitrary.ts'

const STEER_ALL = { steer: 'always', steering: { mechanism: 'sk_lookup', proxyPort: 15001 } } as const

/** Two Plans of the same agent, the later one built from the earlier, sometimes with other options. */
const arbitraryStep = fc
  .record({
    start: arbitrarySnapshot(),
    other: arbitrarySnapshot(),
    mask: fc.noBias(fc.nat()),
    options: arbitraryOptions(),
    // Steering everything makes views that are worth comparing.
    steerAll: fc.boolean(),
    later: fc.option(arbitraryOptions(), { freq: 5 }),
  })
  .map(({ start, other, mask, options, steerAll, later }) => {
    const chosen = steerAll ? { ...options, ...STEER_ALL } : options
    const next = mixSnapshots(start, other, mask)
    const from = buildPlan(start, chosen)
    return { from, to: buildPlan(next, later ?? chosen, { snapshot: start, plan: from }) }
  })

test('patching a Plan with its difference to another gives the other, in the same order', (t) => {
  fc.assert(
    fc.property(arbitraryStep, ({ from, to }) => {
      assert.deepEqual(listed(patchPlan(from, diffPlan(from, to))), listed(to))
      assert.deepEqual(listed(patchPlan(to, diffPlan(to, from))), listed(from))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('a Plan does not differ from itself, and a difference is empty only for the same content', (t) => {
  fc.assert(
    fc.property(arbitraryStep, ({ from, to }) => {
      assert.ok(isEmptyDelta(diffPlan(from, from)))
      const same = JSON.stringify(listed(from).slice(1)) === JSON.stringify(listed(to).slice(1))
      assert.equal(isEmptyDelta(diffPlan(from, to)), same)
      assert.equal(summarizeDelta(diffPlan(from, to)).length === 0, same)
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('a view with its delta applied is the next view', (t) => {
  let entries = 0
  fc.assert(
    fc.property(arbitraryStep, ({ from, to }) => {
      const old = publishView(from, { epoch: 'e' })
      const next = publishView({ ...to, generation: from.generation + 1 }, { epoch: 'e' })
      const delta = diffView(old, next)
      assert.ok(delta)
      entries += Object.keys(delta.services).length
      // It crosses a socket as JSON.
      const applied = applyDelta(clone(old), clone(delta))
      assert.equal(applied.kind, 'ok')
      if (applied.kind === 'ok') assert.deepEqual(applied.view, clone(next))
    }),
    { numRuns: 500 },
  )
  t.true(entries > 100, `only ${entries} Services changed in the views`)
})

test('a view has exactly the steered frontends, and a pool of each of their families', (t) => {
  let count = 0
  fc.assert(
    fc.property(arbitraryStep, ({ to }) => {
      const view = publishView(to, { epoch: 'e' })
      const expected = new Set<string>()
      for (const [port, frontend] of steeredFrontends(to)) {
        const key = `${frontend.ip ?? 'node'}|${frontend.port}`
        expected.add(key)
        count++
        assert.equal(port.protocol, 'TCP')
        assert.equal(view.frontends[key]?.service, port.key)
        for (const pool of Object.values({ ...view.frontends[key]?.pool })) {
          const endpoints = view.services[port.key]?.[pool] ?? []
          assert.ok(
            endpoints.some(({ ip }) => familyOf(ip) === port.family),
            `${key}: nobody in ${pool}`,
          )
        }
      }
      assert.deepEqual(new Set(Object.keys(view.frontends)), expected)
    }),
    { numRuns: 500 },
  )
  t.true(count > 100, `only ${count} steered frontends`)
})

function steeredFrontends(plan: Plan): [ServicePortPlan, Frontend][] {
  const ports = FAMILIES.flatMap((family) => [...(plan.families[family]?.ports.values() ?? [])])
  return ports.flatMap((port) =>
    port.frontends
      .filter(({ steered }) => steered)
      .map((frontend): [ServicePortPlan, Frontend] => [port, frontend]),
  )
}

/** Generation, options, families; maps as lists, so that their order is compared too. */
function listed(plan: Plan): unknown[] {
  return [
    plan.generation,
    plan.options,
    ...FAMILIES.map((family) => {
      const of = plan.families[family]
      return of && { ...of, ports: [...of.ports] }
    }),
  ]
}

function clone<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}
