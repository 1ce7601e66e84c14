// The kernel side of steering as a value: remembers keys and the prepared mechanism, and what was asked in which order.

import type { Mechanism, SteeringKernel, SteerKey } from '#agent/datapath/steer/steering.ts'
import type { Family } from '#agent/model/ip.ts'

export interface FakeSteering extends SteeringKernel {
  readonly calls: string[]
  readonly keys: ReadonlyMap<string, SteerKey>
  readonly mechanism: Mechanism
}

export function fakeSteering(families: readonly Family[] = ['IPv4', 'IPv6']): FakeSteering {
  const keys = new Map<string, SteerKey>()
  const calls: string[] = []
  let mechanism: Mechanism = 'off'
  const nameOf = (key: SteerKey): string => `${key.ip ?? 'node'}|${key.port}`
  return {
    calls,
    keys,
    get mechanism() {
      return mechanism
    },
    probe: async () => {
      const usable = { kind: 'usable', detail: 'a fake', families } as const
      return { sk_lookup: usable, dnat: usable }
    },
    prepare: async (wanted) => {
      calls.push(`prepare ${wanted}`)
      mechanism = wanted
    },
    read: async () => ({
      skLookup:
        mechanism === 'sk_lookup'
          ? {
              kind: 'attached',
              keys: [...keys.values()],
              listeners: families,
              counters: { steered: 0, noListener: 0 },
            }
          : { kind: 'absent', because: `the mechanism is ${mechanism}` },
      routedFamilies: mechanism === 'sk_lookup' ? families : [],
    }),
    add: async (added) => {
      calls.push(`add ${added.map(nameOf).join(' ')}`)
      for (const key of added) keys.set(nameOf(key), key)
    },
    remove: async (removed) => {
      calls.push(`remove ${removed.map(nameOf).join(' ')}`)
      for (const key of removed) keys.delete(nameOf(key))
    },
    purge: async () => {
      calls.push('purge')
      keys.clear()
      mechanism = 'off'
    },
  }
}
