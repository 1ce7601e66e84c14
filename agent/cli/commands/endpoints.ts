// shunt endpoints: every endpoint that some client of a Service may be sent to, and which clients those are.

import type { PlanEndpoint, ServicePortPlan } from '../../plan/plan.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, table } from '../output.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import { allEndpoints, endpointAddress, portName, serviceName } from '../plan-text.ts'
import type { Column } from '../table.ts'
import { findPorts } from './services.ts'

interface EndpointRow {
  readonly port: ServicePortPlan
  readonly endpoint: PlanEndpoint
}

export const endpoints: Command = {
  spec: {
    name: 'endpoints',
    summary: 'the endpoints of each Service port: ready or terminating, here or elsewhere, in which pool',
    details:
      'Only endpoints that may get traffic are shown. An endpoint that is missing is not serving, has no address of ' +
      'the family, or topology hints keep it for other zones.',
    arguments: [{ syntax: '[service]', description: 'NAMESPACE/NAME, or a name in every namespace' }],
    options: [MANIFESTS_OPTION, ...PLAN_OPTIONS, RUN_DIR_OPTION],
    prints: true,
    examples: [
      {
        line: 'shunt endpoints default/web',
        explains: 'where connections to default/web can go from this node',
      },
    ],
  },
  async run(ports, input) {
    const { plan } = await sourcePlan(ports, input)
    const rows = findPorts(plan, input.argument(0)).flatMap((port) =>
      allEndpoints(port).map((endpoint) => ({ port, endpoint })),
    )
    ports.stdout(format(table(COLUMNS, rows, 'no endpoints'), input.outputFormat()))
    return EXIT.ok
  },
}

const COLUMNS: readonly Column<EndpointRow>[] = [
  { name: 'service', value: ({ port }) => serviceName(port) },
  { name: 'port', value: ({ port }) => portName(port) },
  { name: 'family', value: ({ port }) => port.family, wide: true },
  { name: 'endpoint', value: ({ endpoint }) => endpointAddress(endpoint) },
  { name: 'state', value: ({ endpoint }) => endpoint.state },
  {
    name: 'here',
    value: ({ endpoint }) => endpoint.local,
    text: ({ endpoint }) => (endpoint.local ? 'yes' : 'no'),
  },
  { name: 'node', value: ({ endpoint }) => endpoint.nodeName },
  { name: 'zone', value: ({ endpoint }) => endpoint.zone, wide: true },
  { name: 'weight', value: ({ endpoint }) => endpoint.weight ?? 1, align: 'right', wide: true },
  { name: 'pools', value: poolsOf },
]

function poolsOf({ port, endpoint }: EndpointRow): readonly string[] {
  const same = (other: PlanEndpoint): boolean => other.ip === endpoint.ip && other.port === endpoint.port
  return [port.cluster.some(same) ? 'cluster' : '', port.local.some(same) ? 'local' : ''].filter(
    (pool) => pool !== '',
  )
}
