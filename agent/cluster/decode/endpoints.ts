// v1 Endpoints, the older form, mirrored into slices as the control plane's mirroring controller does: one slice for each
// subset and family, named after the Endpoints object.

import type { Endpoint, EndpointPort, EndpointSlice } from '../../model/endpoint.ts'
import { FAMILIES, familyOf } from '../../model/ip.ts'
import { serviceId } from '../../model/ids.ts'
import { changedAtMs } from './changed-at.ts'
import { endpointPorts } from './endpoint-ports.ts'
import { readEndpointIp } from './endpoint-slice.ts'
import type { Fields } from './fields.ts'
import { SUBSET, SUBSET_ADDRESS } from './known-fields.ts'
import { decodeObject, type Metadata, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import type { Decoding } from './report.ts'

const SHAPE: ObjectShape = {
  kind: 'Endpoints',
  scope: 'namespaced',
  naming: 'subdomain',
  fields: ['subsets'],
}

/** The control plane's own leader records are Endpoints too, and say so with this label. */
const SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror'

export function decodeEndpoints(input: unknown, root?: Place): Decoding<readonly EndpointSlice[]> {
  return decodeObject(input, root, SHAPE, (object, metadata) => {
    const slices = object
      .maps('subsets')
      .flatMap((subset, index) => mirrorSubset(subset, index, object, metadata))
    return metadata.labels?.raw(SKIP_MIRROR_LABEL) === 'true' ? undefined : slices
  })
}

function mirrorSubset(subset: Fields, index: number, object: Fields, metadata: Metadata): EndpointSlice[] {
  subset.only(SUBSET)
  const ports: readonly EndpointPort[] = endpointPorts(subset, 'subset')
  const endpoints = [
    ...readAddresses(subset, 'addresses', true),
    ...readAddresses(subset, 'notReadyAddresses', false),
  ]
  if (endpoints.length === 0 && !object.report.failed) {
    object.report.warn(subset.at('addresses'), 'missing: a subset without addresses has no effect')
  }
  const changed = changedAtMs(metadata.annotations)
  return FAMILIES.flatMap((family): EndpointSlice[] => {
    const own = endpoints.filter((endpoint) => familyOf(endpoint.ip) === family)
    if (own.length === 0) return []
    return [
      {
        id: `${metadata.namespace}/${metadata.name}-endpoints-${index}-${family.toLowerCase()}`,
        service: serviceId(metadata.namespace, metadata.name),
        family,
        ports,
        endpoints: own,
        ...(changed === undefined ? {} : { changedAtMs: changed }),
      },
    ]
  })
}

function readAddresses(subset: Fields, key: string, ready: boolean): Endpoint[] {
  return subset.maps(key).flatMap((entry): Endpoint[] => {
    entry.only(SUBSET_ADDRESS)
    const place = entry.at('ip')
    if (!entry.has('ip')) entry.report.error(place, 'missing: expected an IP address')
    const text = entry.text('ip')
    const nodeName = entry.text('nodeName') ?? ''
    const ip = text === undefined ? undefined : readEndpointIp(text, place, undefined, entry.report)
    if (ip === undefined) return []
    return [
      { ip, nodeName, ready, serving: ready, terminating: false, zone: '', zoneHints: [], nodeHints: [] },
    ]
  })
}
