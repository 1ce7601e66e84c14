// The ports of a Service: numbers, names, and what must not occur twice.

import type { ServicePort, ServiceType } from '../../model/service.ts'
import { PROTOCOLS } from '../../model/port.ts'
import type { Fields } from './fields.ts'
import { SERVICE_PORT } from './known-fields.ts'
import { isDnsLabel, LABEL_RULE } from './names.ts'
import { describe } from './report.ts'

export function servicePorts(spec: Fields, type: ServiceType, headless: boolean): ServicePort[] {
  const entries = spec.maps('ports')
  // A wrong type was reported already; here is about an absent or empty list.
  const empty = !spec.has('ports') || (entries.length === 0 && !spec.report.failed)
  if (empty && !headless && type !== 'ExternalName') {
    spec.report.error(spec.at('ports'), 'missing: a Service with a clusterIP needs at least one port')
  }
  const seen = new Set<string>()
  return entries.flatMap((entry) => readPort(entry, type, entries.length > 1, seen))
}

function readPort(entry: Fields, type: ServiceType, many: boolean, seen: Set<string>): ServicePort[] {
  entry.only(SERVICE_PORT)
  const name = entry.text('name') ?? ''
  const protocol = entry.oneOf('protocol', PROTOCOLS, 'TCP')
  const port = requiredPort(entry)
  const nodePort = entry.integer('nodePort', 0, 65_535) ?? 0
  const appProtocol = entry.text('appProtocol')
  checkName(entry, name, many)
  checkTarget(entry)
  checkNodePort(entry, nodePort, type)
  if (name !== '') once(entry, 'name', seen, `name ${name}`, `the name ${describe(name)}`)
  if (port !== undefined) once(entry, 'port', seen, `port ${port}/${protocol}`, `port ${port}/${protocol}`)
  if (nodePort !== 0) {
    once(entry, 'nodePort', seen, `nodePort ${nodePort}/${protocol}`, `nodePort ${nodePort}/${protocol}`)
  }
  if (port === undefined) return []
  return [{ name, protocol, port, nodePort, ...(appProtocol === undefined ? {} : { appProtocol }) }]
}

function requiredPort(entry: Fields): number | undefined {
  if (entry.has('port')) return entry.integer('port', 1, 65_535)
  entry.report.error(entry.at('port'), 'missing: expected a whole number from 1 to 65535')
  return undefined
}

function checkName(entry: Fields, name: string, many: boolean): void {
  if (name !== '' && !isDnsLabel(name)) {
    entry.report.error(entry.at('name'), `expected ${LABEL_RULE}, found ${describe(name)}`)
  }
  if (name === '' && many) {
    entry.report.error(entry.at('name'), 'missing: with more than one port, every port needs a name')
  }
}

/** Not used by the data plane (row 7), but a wrong type shows that something else was meant. */
function checkTarget(entry: Fields): void {
  const target = entry.raw('targetPort')
  if (target === undefined || typeof target === 'string') return
  if (typeof target === 'number') entry.integer('targetPort', 1, 65_535)
  else {
    entry.report.error(entry.at('targetPort'), `expected a port number or name, found ${describe(target)}`)
  }
}

function checkNodePort(entry: Fields, nodePort: number, type: ServiceType): void {
  if (nodePort !== 0 && (type === 'ClusterIP' || type === 'ExternalName')) {
    entry.report.error(
      entry.at('nodePort'),
      `not allowed in a Service of type ${type}; expected type NodePort or LoadBalancer`,
    )
  }
  if (!entry.has('nodePort') && type === 'NodePort') {
    entry.report.warn(
      entry.at('nodePort'),
      'missing: nothing allocates one here, so that the port has no NodePort',
    )
  }
}

function once(entry: Fields, key: string, seen: Set<string>, value: string, said: string): void {
  if (seen.has(value)) entry.report.error(entry.at(key), `${said} occurs twice in this Service`)
  seen.add(value)
}
