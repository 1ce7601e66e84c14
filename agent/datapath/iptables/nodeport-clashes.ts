// An address of a Service beats the NodePort of the same number (row 15) also where nat leaves the packet alone: no
// endpoint, none here, source not allowed, proxy only. Without a rule of its own such a packet would fall through to
// the NodePorts, if the address is one of the node's. Usually there is none: NodePorts have a range of their own.

import type { ServicePortKey } from '../../model/ids.ts'
import { PROTOCOLS, type Port, type Protocol } from '../../model/port.ts'
import type { ServicePortPlan } from '../../plan/plan.ts'
import { clientKinds } from './clients.ts'
import type { FamilyContext } from './context.ts'
import { isForward } from './layout.ts'
import { KUBE_SERVICES, servicePortLabel } from './names.ts'
import { lines, rule, to } from './rule.ts'

/** Lines for the end of nat KUBE-SERVICES, before the jump to the NodePorts; usually ''. */
export function nodePortClashes(
  ports: ReadonlyMap<ServicePortKey, ServicePortPlan>,
  context: FamilyContext,
): string {
  const nodePorts = new Set<number>()
  for (const { protocol, frontends } of ports.values())
    for (const { ip, port } of frontends) if (ip === undefined) nodePorts.add(numberOf(protocol, port))
  if (nodePorts.size === 0) return ''
  const rules: string[] = []
  for (const port of ports.values())
    for (const frontend of port.frontends) {
      const { ip, port: number } = frontend
      if (ip === undefined || !nodePorts.has(numberOf(port.protocol, number))) continue
      const always =
        frontend.sources === undefined &&
        !frontend.proxyOnly &&
        clientKinds(context.detector).every((kind) => isForward(frontend.verdicts[kind]))
      if (always) continue
      rules.push(
        rule(KUBE_SERVICES, {
          destination: to(ip),
          protocol: port.protocol,
          comment: `${servicePortLabel(port)} is no NodePort`,
          port: number,
          target: '-j RETURN',
        }),
      )
    }
  return lines(...rules)
}

/** A number, because this is asked of every address of every Service at each render. */
function numberOf(protocol: Protocol, port: Port): number {
  return PROTOCOLS.indexOf(protocol) * 65_536 + port
}
