// The production walk over rendered rules, compared with explain() as `shunt trace` does it: for random Snapshots and
// packets there is never a difference to tell, whether the proxy is there or not.

import assert from 'node:assert/strict'
import test from 'ava'
import * as fc from 'fast-check'
import { compare } from '#agent/cli/trace/compare.ts'
import { inSet, type Sets } from '#agent/cli/trace/sets.ts'
import { steeringFacts } from '#agent/cli/trace/steering-facts.ts'
import { DEFAULT_SETTINGS } from '#agent/datapath/iptables/context.ts'
import { createRenderer } from '#agent/datapath/iptables/render.ts'
import { baseOf, chainsOf, type IptablesState } from '#agent/datapath/iptables/state.ts'
import { walk, type WalkTables } from '#agent/datapath/iptables/walk.ts'
import { walkTables } from '#agent/datapath/iptables/walk-tables.ts'
import type { SteerState } from '#agent/datapath/steer/steering.ts'
import { FAMILIES, familyOf, type Family, type Ip } from '#agent/model/ip.ts'
import { STEERED_MARK, STEERED_MATCH_MASK } from '#agent/model/steering-names.ts'
import { buildPlan } from '#agent/plan/build.ts'
import type { Frontend, Plan } from '#agent/plan/plan.ts'
import { explain } from '#agent/plan/explain.ts'
import { arbitraryCase } from '../support/arbitrary.ts'

const RUNS = 200

const VARIANTS = [
  ['ready', 'sk_lookup'],
  ['gone', 'sk_lookup'],
  ['ready', 'dnat'],
  ['gone', 'dnat'],
  ['gone', 'off'],
] as const

for (const [proxy, mechanism] of VARIANTS)
  test(`the walk of rendered rules agrees with explain(): ${mechanism}, the proxy is ${proxy}`, (t) => {
    let packets = 0
    let steered = 0
    fc.assert(
      fc.property(arbitraryCase({ semantics: 'iptables', packets: 40 }), (one) => {
        const steering = { ...one.options.steering, mechanism } as const
        const plan = buildPlan(one.snapshot, { ...one.options, steering })
        const rendered = createRenderer(DEFAULT_SETTINGS)(plan)
        const sets = setsOf(rendered, proxy === 'ready')
        const kernel = steerState(rendered, proxy === 'ready')
        const tables = new Map(FAMILIES.map((family) => [family, tablesOf(rendered, family)]))
        const taken = new Set<Ip | undefined>([
          ...frontendsOf(plan).map(({ ip }) => ip),
          ...one.world.localAddresses,
        ])
        for (const packet of one.packets) {
          // KUBE-FIREWALL drops these before anything of ours is asked (row 20); explain() knows Services alone.
          if (packet.destination.startsWith('127.') && !packet.source.startsWith('127.')) continue
          const family = familyOf(packet.destination)
          const expected = explain(plan, packet, one.world)
          // Like kube-proxy's, our NodePort rules also catch another Service's address that the node itself has (row 15).
          const nodesOwn = one.world.localAddresses.has(packet.destination)
          if (nodesOwn && expected.match?.frontend.kind !== 'NodePort') continue
          // An endpoint that is itself a Service's address meets the filter rules of that Service.
          if (
            expected.outcome.kind === 'forward' &&
            expected.outcome.endpoints.some(({ endpoint }) => taken.has(endpoint.ip))
          )
            continue
          const nodePort = expected.match?.frontend.kind === 'NodePort'
          const facts = steeringFacts(
            { ip: packet.destination, port: packet.port },
            nodePort,
            mechanism,
            sets,
            kernel,
          )
          const walked = walk(tables.get(family) ?? NO_TABLES, packet, {
            localAddresses: one.world.localAddresses,
            inSet: (name, asked) => inSet(sets, name, asked),
            isRecent: () => false,
            hasListener: () => proxy === 'ready',
            deliversMark: (mark) => (mark & STEERED_MATCH_MASK) >>> 0 === STEERED_MARK,
          })
          const { differences, taker } = compare(expected.outcome, walked, facts)
          packets++
          if (taker.kind === 'proxy') steered++
          assert.deepEqual(
            {
              differences,
              notes: walked.notes.filter((note) => !note.includes('KUBE-FIREWALL is not known')),
            },
            { differences: [], notes: [] },
            `${JSON.stringify(packet)}\n${JSON.stringify(expected)}\n${JSON.stringify(walked.fates, undefined, 1)}`,
          )
        }
      }),
      { numRuns: RUNS },
    )
    t.true(packets > RUNS * 20)
    t.is(steered > 0, proxy === 'ready', `${steered} of ${packets} steered`)
  })

function frontendsOf(plan: Plan): readonly Frontend[] {
  return Object.values(plan.families).flatMap(({ ports }) =>
    [...ports.values()].flatMap((port) => port.frontends),
  )
}

const NO_TABLES: WalkTables = { mangle: new Map(), nat: new Map(), filter: new Map() }

function tablesOf(state: IptablesState, family: Family): WalkTables {
  const rules = state.families[family]
  if (rules === undefined) return NO_TABLES
  return walkTables({
    kind: 'read',
    chains: new Map(chainsOf(rules)),
    base: baseOf(rules),
    foreignFirewallRules: undefined,
  })
}

function setsOf({ sets }: IptablesState, live: boolean): Sets {
  const members = new Map([...sets.members].map(([name, of]) => [name, [...of]]))
  if (live && members.has('SHUNT-LIVE')) {
    members.set('SHUNT-LIVE', ['SHUNT-STEER-4 timeout 0', 'SHUNT-STEER-6 timeout 0'])
    members.set('SHUNT-LIVE-NP', ['SHUNT-STEER-NP timeout 0'])
  }
  return members
}

function steerState({ sets }: IptablesState, listening: boolean): SteerState {
  return {
    skLookup: {
      kind: 'attached',
      keys: sets.keys,
      listeners: listening ? FAMILIES : [],
      counters: { steered: 0, noListener: 0 },
    },
    routedFamilies: FAMILIES,
  }
}
