// Finding the frontend of a destination in a family's plan, without walking all Services for every packet.

import type { ServicePortKey } from '../model/ids.ts'
import type { Ip } from '../model/ip.ts'
import type { Port, Protocol } from '../model/port.ts'
import { addressKey } from './claims.ts'
import type { FamilyPlan, Frontend, ServicePortPlan } from './plan.ts'

export interface Found {
  readonly port: ServicePortPlan
  readonly frontend: Frontend
}

interface Lookup {
  readonly byAddress: ReadonlyMap<string, Found>
  readonly byClusterIp: ReadonlyMap<Ip, ServicePortKey>
}

/** A plan never changes, so its lookup is made once, when the first packet asks. */
const lookups = new WeakMap<FamilyPlan, Lookup>()

/** `ip` undefined: the NodePort of that number. */
export function findFrontend(
  plan: FamilyPlan,
  ip: Ip | undefined,
  port: Port,
  protocol: Protocol,
): Found | undefined {
  return lookupOf(plan).byAddress.get(addressKey({ ip, port }, protocol))
}

/** Some Service port whose ClusterIP this is, whatever its port. */
export function clusterIpOwner(plan: FamilyPlan, ip: Ip): ServicePortKey | undefined {
  return lookupOf(plan).byClusterIp.get(ip)
}

function lookupOf(plan: FamilyPlan): Lookup {
  const known = lookups.get(plan)
  if (known !== undefined) return known
  const byAddress = new Map<string, Found>()
  const byClusterIp = new Map<Ip, ServicePortKey>()
  for (const port of plan.ports.values()) {
    for (const frontend of port.frontends) {
      byAddress.set(addressKey(frontend, port.protocol), { port, frontend })
      if (frontend.kind === 'ClusterIP' && frontend.ip !== undefined && !byClusterIp.has(frontend.ip))
        byClusterIp.set(frontend.ip, port.key)
    }
  }
  const made = { byAddress, byClusterIp }
  lookups.set(plan, made)
  return made
}
