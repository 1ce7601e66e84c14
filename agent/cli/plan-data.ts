// A Plan back from JSON (sync/plan-json.ts writes it): the list of ports becomes a map again, in the same order.

import { ShuntError } from '../model/errors.ts'
import { FAMILIES } from '../model/ip.ts'
import type { FamilyPlan, Plan, ServicePortPlan } from '../plan/plan.ts'

/** Reads what the agent answers; it is of this same program, so the parts are trusted once the frame is right. */
export function planFromData(data: unknown): Plan {
  const frame = data as { readonly families?: Readonly<Record<string, unknown>> } | null | undefined
  const sent = frame?.families
  if (typeof sent !== 'object' || sent === null)
    throw new ShuntError('INTERNAL', 'the agent answered something else than a plan', {
      hint: 'the agent may be of another version than this command; compare with `shunt status`',
    })
  const families: Partial<Record<(typeof FAMILIES)[number], FamilyPlan>> = {}
  for (const family of FAMILIES) {
    const found = sent[family] as (Omit<FamilyPlan, 'ports'> & { readonly ports: unknown }) | undefined
    if (found !== undefined) families[family] = { ...found, ports: portMap(found.ports) }
  }
  return { ...(data as Plan), families }
}

function portMap(sent: unknown): FamilyPlan['ports'] {
  const ports = (Array.isArray(sent) ? sent : Object.values(sent ?? {})) as readonly ServicePortPlan[]
  return new Map(ports.map((port) => [port.key, port]))
}
