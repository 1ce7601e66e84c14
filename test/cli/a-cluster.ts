// The made-up cluster and its kernel that tests of commands look at.

import { DEFAULT_SETTINGS } from '#agent/datapath/iptables/context.ts'
import { createRenderer } from '#agent/datapath/iptables/render.ts'
import { baseOf, chainsOf } from '#agent/datapath/iptables/state.ts'
import { NO_RULES } from '#agent/datapath/iptables/state.ts'
import { walkTables } from '#agent/datapath/iptables/walk-tables.ts'
import type { NodePorts } from '#agent/cli/ports.ts'
import type { SteerState } from '#agent/datapath/steer/steering.ts'
import { DEFAULT_CONNECTION_POLICY } from '#agent/model/connection-policy.ts'
import { FAMILIES } from '#agent/model/ip.ts'
import type { SteerMode } from '#agent/model/service.ts'
import type { Plan, PlanOptions } from '#agent/plan/plan.ts'
import { planJson } from '#agent/sync/plan-json.ts'
import { aService, aSlice, aWorld, idOf, planOf, type SnapshotParts } from '#test/support/build.ts'
import { fakeDatapath } from '#test/support/fake-datapath.ts'

/** `default/web` with two endpoints, NodePort and affinity, and `default/empty` without endpoints. */
export function clusterPlan(steer: SteerMode = 'auto', options: Partial<PlanOptions> = {}): Plan {
  const parts: SnapshotParts = {
    generation: 42,
    services: [
      aService({ type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30080 }], steer }),
      aService({
        name: 'empty',
        clusterIps: ['10.96.0.11'],
        affinity: { kind: 'ClientIP', timeoutSeconds: 60 },
      }),
    ],
    slices: [
      aSlice({
        ports: [{ name: 'http' }],
        endpoints: ['10.244.1.5', { ip: '10.244.2.6', nodeName: 'n2', zone: 'z2' }],
      }),
    ],
  }
  return planOf(parts, options)
}

/** `default/web` with a TrafficPolicy and a TLSRoute whose backend is missing. */
export function policyPlan(): Plan {
  const { balancer } = DEFAULT_CONNECTION_POLICY
  return planOf({
    services: [aService()],
    slices: [aSlice({ endpoints: ['10.244.1.5', { ip: '10.244.2.6', nodeName: 'n2', zone: 'z2' }] })],
    policies: [
      {
        id: 'default/slow',
        service: idOf('web'),
        connection: { ...DEFAULT_CONNECTION_POLICY, balancer: { ...balancer, kind: 'LeastConnections' } },
        weights: [{ kind: 'zone', zone: 'z2', weight: 0 }],
      },
    ],
    routes: [
      {
        kind: 'TLSRoute',
        id: 'default/r',
        service: idOf('web'),
        tls: {
          hostnames: ['a.example'],
          backends: [{ target: { service: idOf('gone'), port: 443 }, weight: 3 }],
        },
      },
    ],
  })
}

/** What the admin socket of an agent with that plan answers. */
export function agentOf(plan: Plan): Readonly<Record<string, unknown>> {
  return {
    '/plan': planJson(plan),
    '/config': { iptablesVariant: 'nft', masqueradeBit: 14 },
    '/status': { pid: 100 },
  }
}

export interface KernelParts {
  /** The heartbeat holds and a listener is there. */
  readonly proxy?: boolean
  /** Changes the saved text of every chain. */
  readonly tamper?: (line: string) => string | undefined
}

/** A kernel that holds the plan, as the iptables datapath renders it. */
export function kernelOf(
  plan: Plan,
  { proxy = false, tamper = (line) => line }: KernelParts = {},
): Partial<NodePorts> {
  const state = createRenderer(DEFAULT_SETTINGS)(plan)
  const sets = new Map([...state.sets.members].map(([name, members]) => [name, [...members]]))
  if (proxy) {
    sets.set('SHUNT-LIVE', ['SHUNT-STEER-4 timeout 0', 'SHUNT-STEER-6 timeout 0'])
    sets.set('SHUNT-LIVE-NP', ['SHUNT-STEER-NP timeout 0'])
  }
  const steer: SteerState = {
    skLookup: {
      kind: 'attached',
      keys: state.sets.keys,
      listeners: proxy ? FAMILIES : [],
      counters: { steered: 0, noListener: 0 },
    },
    routedFamilies: FAMILIES,
  }
  return {
    rules: (family) => {
      const rules = state.families[family]
      if (rules === undefined) return Promise.resolve(walkTables(NO_RULES))
      const chains = new Map(
        [...chainsOf(rules)].map(([key, lines]) => [
          key,
          lines
            .split('\n')
            .filter((line) => line !== '')
            .map(tamper)
            .filter((line) => line !== undefined)
            .map((line) => `${line}\n`)
            .join(''),
        ]),
      )
      return Promise.resolve(walkTables({ ...NO_RULES, chains, base: baseOf(rules) }))
    },
    sets: () => Promise.resolve(sets),
    localAddresses: () => aWorld().localAddresses,
    recentClients: () => new Set(),
    steering: { ...REFUSING, read: () => Promise.resolve(steer) },
    datapath: fakeDatapath(),
  }
}

const refuse = (): Promise<never> =>
  Promise.reject(new Error('a command that only looks must not change the kernel'))
const REFUSING = { probe: refuse, prepare: refuse, add: refuse, remove: refuse, purge: refuse }
