// What the steering runner asks of its surroundings, from what they know. Pure.

import type { Family } from '../model/ip.ts'
import type { SteeringCapability } from '../datapath/datapath.ts'
import type { Plan } from '../plan/plan.ts'
import type { Candidate, SteeringState } from './steering-choice.ts'
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

/** A mechanism can be used if the datapath's rules for it and the kernel's own side both work; the first reason why not. */
export function candidatesOf(rules: SteeringCapability, kernel: SteeringCapability): readonly Candidate[] {
  return (['sk_lookup', 'dnat'] as const).map((mechanism) => {
    const unusable = [rules[mechanism], kernel[mechanism]].find(({ kind }) => kind === 'unusable')
    return { mechanism, unusableBecause: unusable?.kind === 'unusable' ? unusable.because : undefined }
  })
}
