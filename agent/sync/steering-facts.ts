// What the steering runner asks of its surroundings, from what they know. Pure.

import type { Family } from '../model/ip.ts'
import type { Plan } from '../plan/plan.ts'
import type { SteeringState } from './steering-choice.ts'
import type { ConnectedProxy } from './view-server.ts'

/** Families in which the committed rules can steer: DNAT needs an address of the node to send a connection to. */
export function testableFamilies(plan: Plan | undefined): readonly Family[] {
  return Object.values(plan?.families ?? {})
    .filter(
      ({ nodeAddresses }) => plan?.options.steering.mechanism === 'sk_lookup' || nodeAddresses.length > 0,
    )
    .map(({ family }) => family)
}

/** A self-test through a proxy that has no view yet would say nothing about the mechanism. */
export function provenProxy(connected: readonly ConnectedProxy[]): SteeringState['proxy'] {
  const proxies = connected.filter(({ ackedGeneration }) => ackedGeneration !== undefined)
  const [first] = proxies
  return first === undefined ? undefined : { skLookup: proxies.some(({ skLookup }) => skLookup) }
}
