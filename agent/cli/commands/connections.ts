// shunt connections: live connections to Services, those that the kernel balanced and those that the proxy has, with
// who decided where each goes.

import type { Paths } from '../../config/paths.ts'
import { ShuntError } from '../../model/errors.ts'
import { FAMILIES } from '../../model/ip.ts'
import type { LegRecord, ProxyConnections } from '../../proxy/admin-shapes.ts'
import type { Command } from '../command.ts'
import { kernelRows, proxyRows, type ConnectionRow } from '../connection-rows.ts'
import { EXIT } from '../exit.ts'
import { format, table } from '../output.ts'
import { planFromData } from '../plan-data.ts'
import { openNode } from '../node-settings.ts'
import { RUN_DIR_OPTION, runPaths } from '../run-paths.ts'
import type { Ports } from '../ports.ts'
import type { Column } from '../table.ts'

export const connections: Command = {
  spec: {
    name: 'connections',
    summary: 'live connections to Services: kernel and proxied, and who decided what',
    arguments: [{ syntax: '[service]', description: 'NAMESPACE/NAME, or a name in every namespace' }],
    options: [
      RUN_DIR_OPTION,
      {
        flags: '--ended',
        description: 'connections that are over, too: in TIME_WAIT, and the last ones of the proxy',
      },
    ],
    prints: true,
    examples: [
      {
        line: 'shunt connections default/web',
        explains: 'who is connected to default/web, and through what',
      },
      {
        line: 'shunt connections --ended -o wide',
        explains: 'how connections ended, with attempts, round-trip times and retransmissions of both sides',
      },
      {
        line: 'shunt connections --ended -o json',
        explains: 'with the attempts and reasons of what is over',
      },
    ],
  },
  async run(ports, input) {
    const paths = await runPaths(ports, input)
    const plan = planFromData(await ports.agent(paths).get('/plan'))
    const node = await openNode(ports, input)
    const [kernel, proxied] = await Promise.all([
      Promise.all(
        FAMILIES.filter((family) => plan.families[family]).map((family) => node.connections(family)),
      ),
      proxyConnections(ports, paths),
    ])
    const omitted = proxied.liveOmitted ?? 0
    if (omitted > 0)
      ports.stderr(`note: ${omitted} more connections of the proxy live; the oldest are shown\n`)
    const withEnded = input.flag('ended')
    const rows = [
      ...kernelRows(kernel.flat(), plan, node.localAddresses(), withEnded),
      ...proxyRows(proxied, withEnded),
    ].filter((row) => isOf(row, input.argument(0)))
    ports.stdout(format(table(COLUMNS, rows, 'no connections'), input.outputFormat()))
    return EXIT.ok
  },
}

/** Without a proxy the kernel's connections are the whole answer. */
async function proxyConnections(ports: Ports, paths: Paths): Promise<ProxyConnections> {
  try {
    return (await ports.proxy(paths).get('/connections')) as ProxyConnections
  } catch (error) {
    if (error instanceof ShuntError && error.code === 'PEER_UNREACHABLE') {
      ports.stderr(`note: ${error.message}; its connections are not shown\n`)
      return { live: [], liveOmitted: 0, ended: [] }
    }
    throw error
  }
}

/** The key is `namespace/name:portName/PROTOCOL`. */
function isOf(row: ConnectionRow, service: string | undefined): boolean {
  if (service === undefined) return true
  const [namespace = '', named = ''] = row.service.split('/')
  const [name = ''] = named.split(':')
  return service.includes('/') ? `${namespace}/${name}` === service : name === service
}

export const COLUMNS: readonly Column<ConnectionRow>[] = [
  { name: 'client', value: (row) => row.client },
  { name: 'originalDestination', header: 'DESTINATION', value: (row) => row.originalDestination },
  { name: 'service', value: (row) => row.service },
  { name: 'endpoint', value: (row) => row.endpoint },
  { name: 'state', value: (row) => row.state },
  { name: 'decidedBy', value: (row) => row.decidedBy },
  { name: 'why', value: (row) => row.why },
  {
    name: 'ageSeconds',
    header: 'AGE',
    value: (row) => row.ageSeconds,
    text: (row) => (row.ageSeconds === null ? '' : `${row.ageSeconds}s`),
    align: 'right',
  },
  {
    name: 'bytes',
    value: (row) => row.bytes,
    text: (row) => (row.bytes === null ? '' : String(row.bytes)),
    align: 'right',
  },
  { name: 'attempts', value: (row) => row.attempts, wide: true },
  { name: 'peer', value: (row) => row.proxied?.peer ?? null, wide: true },
  { name: 'worker', value: (row) => row.proxied?.worker ?? null, align: 'right', wide: true },
  {
    name: 'connectMs',
    header: 'CONNECT',
    value: (row) => row.proxied?.connectMs ?? null,
    text: (row) => milliseconds(row.proxied?.connectMs),
    align: 'right',
    wide: true,
  },
  ...legColumns('client', (row) => row.proxied?.clientTcp),
  ...legColumns('endpoint', (row) => row.proxied?.endpointTcp),
]

/** TCP_INFO of one side, known once the connection has ended: how far the peer is, and what was lost on the way. */
function legColumns(
  side: 'client' | 'endpoint',
  legOf: (row: ConnectionRow) => LegRecord | null | undefined,
): readonly Column<ConnectionRow>[] {
  return [
    {
      name: `${side}RttUs`,
      header: `${side.toUpperCase()} RTT`,
      value: (row) => legOf(row)?.rttUs ?? null,
      text(row) {
        const leg = legOf(row)
        return milliseconds(leg === null || leg === undefined ? undefined : leg.rttUs / 1_000)
      },
      align: 'right',
      wide: true,
    },
    {
      name: `${side}Retransmits`,
      value: (row) => legOf(row)?.retransmits ?? null,
      align: 'right',
      wide: true,
    },
  ]
}

function milliseconds(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '' : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`
}
