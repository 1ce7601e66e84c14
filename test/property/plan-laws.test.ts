// Laws of the plan over random Snapshots: total, independent of order, incremental equals anew, and close to its input.

import assert from 'node:assert/strict'
import test from 'ava'
import * as fc from 'fast-check'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { FAMILIES } from '#agent/model/ip.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { explain } from '#agent/plan/explain.ts'
import type { Plan, Verdict } from '#agent/plan/plan.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import {
  arbitraryCase,
  arbitraryOptions,
  arbitrarySnapshot,
  mixSnapshots,
  reorder,
} from '../support/arbitrary.ts'

test('the order of objects in the Snapshot never matters', (t) => {
  fc.assert(
    fc.property(arbitrarySnapshot(), arbitraryOptions(), (snapshot, options) => {
      assert.deepEqual(listed(buildPlan(reorder(snapshot), options)), listed(buildPlan(snapshot, options)))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('a plan built from the one before equals a plan built anew, and keeps what did not change', (t) => {
  const changes = fc.array(fc.tuple(arbitrarySnapshot(), fc.noBias(fc.nat())), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(arbitrarySnapshot(), arbitraryOptions(), changes, (start, options, steps) => {
      let snapshot = start
      let plan = buildPlan(snapshot, options)
      for (const [other, mask] of steps) {
        const next = mixSnapshots(snapshot, other, mask)
        const incremental = buildPlan(next, options, { snapshot, plan })
        const anew = buildPlan(next, options)
        assert.deepEqual(listed(incremental), listed(anew))
        assert.ok(keepsObjects(plan, incremental), 'an unchanged Service port is a new object')
        plan = incremental
        snapshot = next
      }
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('two plans built on the same previous one do not disturb each other', (t) => {
  fc.assert(
    fc.property(
      fc.tuple(arbitrarySnapshot(), arbitrarySnapshot(), arbitrarySnapshot()),
      arbitraryOptions(),
      fc.noBias(fc.nat()),
      ([start, one, two], options, mask) => {
        const previous = { snapshot: start, plan: buildPlan(start, options) }
        for (const other of [one, two, one]) {
          const next = mixSnapshots(start, other, mask)
          assert.deepEqual(listed(buildPlan(next, options, previous)), listed(buildPlan(next, options)))
        }
      },
    ),
    { numRuns: 200 },
  )
  t.pass()
})

test('a change of options alone rebuilds every Service port', (t) => {
  fc.assert(
    fc.property(arbitrarySnapshot(), arbitraryOptions(), arbitraryOptions(), (snapshot, before, after) => {
      const previous = { snapshot, plan: buildPlan(snapshot, before) }
      assert.deepEqual(listed(buildPlan(snapshot, after, previous)), listed(buildPlan(snapshot, after)))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

test('pools hold endpoints of the slices, sorted, without duplicates, and forward never has an empty pool', (t) => {
  fc.assert(
    fc.property(arbitrarySnapshot(), arbitraryOptions(), (snapshot, options) => {
      assert.deepEqual(problemsOf(buildPlan(snapshot, options), snapshot), [])
    }),
    { numRuns: 500 },
  )
  t.pass()
})

test('explain has an answer for every packet, and forwards to the pools of the frontend that it names', (t) => {
  const seen = new Map<string, number>()
  const count = (name: string): void => void seen.set(name, (seen.get(name) ?? 0) + 1)
  fc.assert(
    fc.property(arbitraryCase({ packets: 50 }), ({ snapshot, options, world, packets }) => {
      const plan = buildPlan(snapshot, options)
      for (const packet of packets) {
        const { outcome, match, steps } = explain(plan, packet, world)
        if (steps.length === 0) assert.fail('no steps')
        count(outcome.kind)
        count(match === undefined ? 'no frontend' : `${match.frontend.kind} from ${match.client}`)
        if (match === undefined && outcome.kind === 'forward') assert.fail('forwarded without a frontend')
        if (outcome.kind !== 'forward') continue
        if (outcome.endpoints.length === 0) assert.fail('forwarded to nobody')
        if (outcome.failClosed && !outcome.steered) assert.fail('closed without being steered')
        if (outcome.steered) count('steered')
        if (outcome.failClosed) count('failClosed')
        if (outcome.endpoints.some(({ masquerade }) => !masquerade)) count('source kept')
        if (outcome.endpoints.some(({ endpoint }) => endpoint.ip === packet.source)) count('hairpin')
        if (outcome.endpoints.some(({ endpoint }) => endpoint.state === 'terminating')) count('terminating')
      }
    }),
    { numRuns: 1000 },
  )
  t.log(Object.fromEntries(seen))
  const kinds = ['ClusterIP', 'ExternalIP', 'LoadBalancerIP', 'NodePort']
  const expected = [
    'forward reject drop pass steered failClosed hairpin terminating'.split(' '),
    'source kept',
    kinds.flatMap((kind) => ['pod', 'host', 'outside'].map((client) => `${kind} from ${client}`)),
  ].flat()
  // The generator is worth its name only if it reaches everything often.
  for (const name of expected) t.true((seen.get(name) ?? 0) >= 50, `${name}: ${seen.get(name) ?? 0} packets`)
})

/** Maps as lists, so that their order is compared too. */
function listed(plan: Plan): unknown {
  return FAMILIES.map((family) => {
    const of = plan.families[family]
    return of && { ...of, ports: [...of.ports] }
  })
}

/** Every Service port with the content that it had is the object that it was. */
function keepsObjects(before: Plan, after: Plan): boolean {
  return FAMILIES.every((family) => {
    const old = before.families[family]?.ports
    return [...(after.families[family]?.ports ?? [])].every(([key, port]) => {
      const known = old?.get(key)
      return known === undefined || known === port || JSON.stringify(known) !== JSON.stringify(port)
    })
  })
}

function problemsOf(plan: Plan, snapshot: Snapshot): string[] {
  const problems: string[] = []
  for (const family of FAMILIES) {
    const taken = new Set<string>()
    const keys = [...(plan.families[family]?.ports.keys() ?? [])]
    if (keys.join() !== keys.toSorted().join()) problems.push('the Service ports are not in key order')
    for (const port of plan.families[family]?.ports.values() ?? []) {
      const given = [...snapshot.slices.values()]
        .flat()
        .flatMap((slice) =>
          slice.ports.flatMap((p) => slice.endpoints.map((e) => `${slice.service}|${e.ip}|${p.port}`)),
        )
      // Endpoints of the backends stand in where a TLSRoute leads on and the Service has none of its own.
      const named = [
        port.key,
        ...port.tlsRoutes.flatMap(({ backends }) => backends.map(({ service }) => service)),
      ]
      const services = new Set(named.flatMap((key) => (key === null ? [] : [serviceOf(key)])))
      for (const pool of [port.cluster, port.local]) {
        const names = pool.map((e) => (e.ip.includes(':') ? `[${e.ip}]:${e.port}` : `${e.ip}:${e.port}`))
        if (names.join() !== [...new Set(names)].sort().join())
          problems.push(`${port.key}: pool ${names.join()}`)
        for (const e of pool)
          if (![...services].some((service) => given.includes(`${service}|${e.ip}|${e.port}`)))
            problems.push(`${port.key}: ${e.ip}:${e.port} is in no slice`)
        if (new Set(pool.map((e) => e.state)).size > 1)
          problems.push(`${port.key}: ready and terminating mixed`)
      }
      if (port.local.some((e) => !e.local)) problems.push(`${port.key}: a remote endpoint in the local pool`)
      for (const frontend of port.frontends) {
        const address = `${frontend.ip ?? 'node'}|${frontend.port}|${port.protocol}`
        if (taken.has(address)) problems.push(`${address} is served twice`)
        taken.add(address)
        for (const verdict of Object.values<Verdict>({ ...frontend.verdicts })) {
          if (verdict.kind === 'forward' && port[verdict.pool].length === 0)
            problems.push(`${port.key}: forward to an empty pool`)
          if (verdict.kind !== 'forward' && frontend.steered)
            problems.push(`${port.key}: steered without forward`)
        }
      }
    }
  }
  return problems
}

/** `ns/name` of `ns/name:port/TCP`. */
function serviceOf(key: ServicePortKey): string {
  return key.replace(/(:[^/]*)?\/[A-Z]+$/, '')
}
