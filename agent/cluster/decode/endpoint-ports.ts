// The ports of an EndpointSlice, and of a subset of Endpoints, which are alike but for the names of the API's rules.

import type { EndpointPort } from '../../model/endpoint.ts'
import { PROTOCOLS } from '../../model/port.ts'
import type { Fields } from './fields.ts'
import { SLICE_PORT } from './known-fields.ts'
import { isDnsLabel, LABEL_RULE } from './names.ts'
import { describe } from './report.ts'

/** A missing name is '' as the API server defaults it; a missing port or 0 is left out (row 7). */
export function endpointPorts(owner: Fields, what: 'slice' | 'subset'): EndpointPort[] {
  const seen = new Set<string>()
  return owner.maps('ports').flatMap((entry): EndpointPort[] => {
    entry.only(SLICE_PORT)
    const name = entry.text('name') ?? ''
    const protocol = entry.oneOf('protocol', PROTOCOLS, 'TCP')
    const port = entry.integer('port', 0, 65_535) ?? 0
    const appProtocol = entry.text('appProtocol')
    if (name !== '' && !isDnsLabel(name)) {
      entry.report.error(entry.at('name'), `expected ${LABEL_RULE}, found ${describe(name)}`)
    }
    if (seen.has(name)) {
      entry.report.error(entry.at('name'), `the name ${describe(name)} occurs twice in this ${what}`)
    }
    seen.add(name)
    if (port !== 0) return [{ name, protocol, port, ...(appProtocol === undefined ? {} : { appProtocol }) }]
    if (!entry.report.failed) {
      entry.report.warn(entry.at('port'), 'missing: a port without a number is ignored')
    }
    return []
  })
}
