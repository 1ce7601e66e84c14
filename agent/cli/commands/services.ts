// shunt services: every Service port with its addresses, endpoints, and whether the proxy takes its connections.

import { ShuntError } from '../../model/errors.ts'
import type { Plan, ServicePortPlan } from '../../plan/plan.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, table } from '../output.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import {
  allEndpoints,
  frontendAddress,
  portName,
  portsOfService,
  serviceName,
  steeringText,
} from '../plan-text.ts'
import type { Column } from '../table.ts'

export const services: Command = {
  spec: {
    name: 'services',
    summary: 'the Services of the plan: addresses, endpoints, policies, steered or why not',
    arguments: [{ syntax: '[service]', description: 'NAMESPACE/NAME, or a name in every namespace' }],
    options: [MANIFESTS_OPTION, ...PLAN_OPTIONS, RUN_DIR_OPTION],
    prints: true,
    examples: [
      { line: 'shunt services', explains: 'every Service port that the agent carries' },
      { line: 'shunt services default/web -f manifests/ -o yaml', explains: 'one Service, without an agent' },
    ],
  },
  async run(ports, input) {
    const { plan } = await sourcePlan(ports, input)
    const rows = findPorts(plan, input.argument(0))
    ports.stdout(format(table(COLUMNS, rows, 'no Services'), input.outputFormat()))
    return EXIT.ok
  },
}

/** Throws NOT_FOUND for a Service that was named and is not in the plan. */
export function findPorts(plan: Plan, service: string | undefined): readonly ServicePortPlan[] {
  const found = portsOfService(plan, service)
  if (found.length === 0 && service !== undefined)
    throw new ShuntError('NOT_FOUND', `no Service ${service} in the plan`, {
      hint: 'list what exists with `shunt services`; headless and ExternalName Services have no addresses to carry',
    })
  return found
}

const COLUMNS: readonly Column<ServicePortPlan>[] = [
  { name: 'service', value: serviceName },
  { name: 'port', value: portName },
  { name: 'family', value: (port) => port.family, wide: true },
  { name: 'addresses', value: (port) => port.frontends.map(frontendAddress) },
  { name: 'endpoints', value: (port) => allEndpoints(port).length, text: endpointsText, align: 'right' },
  { name: 'localEndpoints', value: (port) => port.local.length, align: 'right', wide: true },
  { name: 'internalPolicy', value: (port) => port.internalTrafficPolicy, wide: true },
  { name: 'externalPolicy', value: (port) => port.externalTrafficPolicy, wide: true },
  {
    name: 'affinity',
    value: (port) => port.affinitySeconds ?? null,
    text: (port) => (port.affinitySeconds === undefined ? '' : `${port.affinitySeconds}s`),
    wide: true,
  },
  { name: 'policy', value: (port) => port.policy?.id ?? null, wide: true },
  {
    name: 'tlsRoutes',
    value: (port) => [...new Set(port.tlsRoutes.map(({ route }) => route))],
    text: (port) => [...new Set(port.tlsRoutes.map(({ route }) => route))].join(','),
    wide: true,
  },
  {
    name: 'steered',
    value: (port) => port.steering.kind === 'steered',
    text: steeringText,
  },
  { name: 'steeringReason', value: (port) => port.steering.because, only: 'data' },
]

/** `2 (1 here)`. */
function endpointsText(port: ServicePortPlan): string {
  const all = allEndpoints(port)
  const here = all.filter((endpoint) => endpoint.local).length
  return all.length === 0 ? '0' : `${all.length} (${here} here)`
}
