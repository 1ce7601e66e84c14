// shunt endpoints: every endpoint that some client of a Service may be sent to, and which clients those are.

import type { PlanEndpoint, ServicePortPlan } from '../../plan/plan.ts'
import type { EndpointState } from '../../proxy/endpoint-states.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, table } from '../output.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import { allEndpoints, endpointAddress, portName, serviceName } from '../plan-text.ts'
import { proxyEndpoints, type ProxiedEndpoints } from '../proxy-endpoints.ts'
import { duration } from '../status-text.ts'
import type { Column } from '../table.ts'
import { findPorts } from './services.ts'

interface EndpointRow {
  readonly port: ServicePortPlan
  readonly endpoint: PlanEndpoint
  /** undefined: the proxy has had nothing to do with it, or there is no proxy. */
  readonly proxied: EndpointState | undefined
}

export const endpoints: Command = {
  spec: {
    name: 'endpoints',
    summary: 'the endpoints of each Service port: ready or terminating, here or elsewhere, in which pool',
    details:
      'Only endpoints that may get traffic are shown. An endpoint that is missing is not serving, has no address of ' +
      'the family, or topology hints keep it for other zones. Of steered Services the proxy is asked, too: which ' +
      'endpoints it has ejected, for how long still, and what is open to them (-o wide).',
    arguments: [{ syntax: '[service]', description: 'NAMESPACE/NAME, or a name in every namespace' }],
    options: [MANIFESTS_OPTION, ...PLAN_OPTIONS, RUN_DIR_OPTION],
    prints: true,
    examples: [
      {
        line: 'shunt endpoints default/web',
        explains: 'where connections to default/web can go from this node',
      },
      {
        line: 'shunt endpoints default/web -o wide',
        explains: 'with zones, weights and, for a steered Service, connections and failures',
      },
    ],
  },
  async run(ports, input) {
    const { plan, offline } = await sourcePlan(ports, input)
    const found = findPorts(plan, input.argument(0))
    const proxied = offline ? NONE : await proxyEndpoints(ports, input, plan)
    const rows = found.flatMap((port) =>
      allEndpoints(port).map((endpoint) => ({
        port,
        endpoint,
        proxied: proxied.get(port.key)?.get(endpointAddress(endpoint)),
      })),
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
  { name: 'state', value: ({ endpoint }) => endpoint.state, text: stateText },
  {
    name: 'here',
    value: ({ endpoint }) => endpoint.local,
    text: ({ endpoint }) => (endpoint.local ? 'yes' : 'no'),
  },
  { name: 'node', value: ({ endpoint }) => endpoint.nodeName },
  { name: 'zone', value: ({ endpoint }) => endpoint.zone, wide: true },
  { name: 'weight', value: ({ endpoint }) => endpoint.weight ?? 1, align: 'right', wide: true },
  { name: 'pools', value: poolsOf },
  {
    name: 'connections',
    value: ({ proxied }) => proxied?.connections ?? null,
    align: 'right',
    wide: true,
  },
  { name: 'failures', value: ({ proxied }) => proxied?.failures ?? null, align: 'right', wide: true },
  { name: 'ejectedForMs', value: ({ proxied }) => proxied?.ejectedForMs ?? null, only: 'data' },
]

const NONE: ProxiedEndpoints = new Map()

/** `ready`, `ready, ejected for 12 s`. */
function stateText({ endpoint, proxied }: EndpointRow): string {
  const forMs = proxied?.ejectedForMs ?? null
  return forMs === null ? endpoint.state : `${endpoint.state}, ejected for ${duration(forMs)}`
}

function poolsOf({ port, endpoint }: EndpointRow): readonly string[] {
  const same = (other: PlanEndpoint): boolean => other.ip === endpoint.ip && other.port === endpoint.port
  return [port.cluster.some(same) ? 'cluster' : '', port.local.some(same) ? 'local' : ''].filter(
    (pool) => pool !== '',
  )
}
