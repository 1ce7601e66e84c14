// shunt connections: live connections to Services, those that the kernel balanced and those that the proxy has, with
// who decided where each goes.

import type { Paths } from '../../config/paths.ts'
import { ShuntError } from '../../model/errors.ts'
import { FAMILIES } from '../../model/ip.ts'
import type { ProxyConnections } from '../../proxy/admin-shapes.ts'
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
]
