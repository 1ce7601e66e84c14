// Plan -> IptablesState: nothing but references to the plan; see state.ts for why.

import { FAMILIES, type Family } from '../../model/ip.ts'
import type { Plan } from '../../plan/plan.ts'
import { familyContext, sameContext, type FamilyContext, type RenderSettings } from './context.ts'
import { nodePortClashes } from './nodeport-clashes.ts'
import type { FamilyRules, IptablesState } from './state.ts'
import { steerSets, type SteerSets } from './steer-sets.ts'

/** Pure; remembers the last result's shared parts, so that equal ones are the same objects and cost nothing later. */
export function createRenderer(settings: RenderSettings): (plan: Plan) => IptablesState {
  const contexts = new Map<Family, FamilyContext>()
  let lastSets: { readonly plan: Plan; readonly sets: SteerSets } | undefined
  return (plan) => {
    const families: Partial<Record<Family, FamilyRules>> = {}
    for (const family of FAMILIES) {
      const familyPlan = plan.families[family]
      if (familyPlan === undefined) continue
      const fresh = familyContext(plan, familyPlan, settings)
      const known = contexts.get(family)
      const context = known !== undefined && sameContext(known, fresh) ? known : fresh
      contexts.set(family, context)
      const { ports } = familyPlan
      families[family] = { kind: 'rendered', context, ports, clashes: nodePortClashes(ports, context) }
    }
    const sets = lastSets?.plan === plan ? lastSets.sets : steerSets(plan)
    lastSets = { plan, sets }
    const { mechanism } = plan.options.steering
    const routed = mechanism === 'sk_lookup' ? FAMILIES.filter((family) => families[family]) : []
    return { families, sets, steering: { mechanism, routed } }
  }
}
