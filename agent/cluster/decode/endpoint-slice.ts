// discovery.k8s.io/v1 EndpointSlice. Rows 3, 4, 5, 7, 8 and 9 say what is ignored; conditions are resolved here.

import type { Endpoint, EndpointSlice } from '../../model/endpoint.ts'
import { familyOf, parseIp, type Family, type Ip } from '../../model/ip.ts'
import { serviceId } from '../../model/ids.ts'
import { specialAddress } from './addresses.ts'
import { changedAtMs } from './changed-at.ts'
import { endpointPorts } from './endpoint-ports.ts'
import type { Fields } from './fields.ts'
import { SLICE_CONDITIONS, SLICE_ENDPOINT, SLICE_HINTS } from './known-fields.ts'
import { decodeObject, type Metadata, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import { describe, type Decoding, type Report } from './report.ts'

const SHAPE: ObjectShape = {
  kind: 'EndpointSlice',
  scope: 'namespaced',
  naming: 'subdomain',
  fields: ['addressType', 'endpoints', 'ports'],
}

const SERVICE_LABEL = 'kubernetes.io/service-name'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'

export function decodeEndpointSlice(input: unknown, root?: Place): Decoding<EndpointSlice> {
  return decodeObject(input, root, SHAPE, readSlice)
}

function readSlice(object: Fields, metadata: Metadata): EndpointSlice | undefined {
  if (!object.has('addressType')) {
    object.report.error(object.at('addressType'), 'missing: expected IPv4, IPv6 or FQDN')
  }
  const family = object.oneOf<Family | 'FQDN'>('addressType', ['IPv4', 'IPv6', 'FQDN'], 'FQDN')
  if (metadata.labels?.has(HEADLESS_LABEL) === true) return undefined
  const service = metadata.labels?.raw(SERVICE_LABEL)
  if (typeof service !== 'string' || service === '') {
    const place: Place = { parent: metadata.fields.at('labels'), step: SERVICE_LABEL }
    object.report.warn(place, 'missing: the slice belongs to no Service and is ignored')
    return undefined
  }
  if (family === 'FQDN') {
    if (!object.report.failed) {
      object.report.warn(object.at('addressType'), 'slices of host names are not proxied; it is ignored')
    }
    return undefined
  }
  const changed = changedAtMs(metadata.annotations)
  return {
    id: `${metadata.namespace}/${metadata.name}`,
    service: serviceId(metadata.namespace, service),
    family,
    ports: endpointPorts(object, 'slice'),
    endpoints: object.maps('endpoints').flatMap((entry) => readEndpoint(entry, family)),
    ...(changed === undefined ? {} : { changedAtMs: changed }),
  }
}

function readEndpoint(entry: Fields, family: Family): Endpoint[] {
  entry.only(SLICE_ENDPOINT)
  const conditions = entry.map('conditions')
  conditions?.only(SLICE_CONDITIONS)
  const hints = entry.map('hints')
  hints?.only(SLICE_HINTS)
  const [first] = entry.texts('addresses')
  if (first === undefined) {
    if (!entry.report.failed) {
      entry.report.warn(entry.at('addresses'), 'missing: expected an address; the endpoint is skipped')
    }
    return []
  }
  const ip = readEndpointIp(first.text, first.place, family, entry.report)
  if (ip === undefined) return []
  return [
    {
      ip,
      nodeName: entry.text('nodeName') ?? '',
      ready: conditions?.flag('ready') ?? true,
      serving: conditions?.flag('serving') ?? true,
      terminating: conditions?.flag('terminating') ?? false,
      zone: entry.text('zone') ?? '',
      zoneHints: hintNames(hints, 'forZones'),
      nodeHints: hintNames(hints, 'forNodes'),
    },
  ]
}

/** Undefined, with an error reported, for what is no endpoint address of the family. */
export function readEndpointIp(
  text: string,
  place: Place,
  family: Family | undefined,
  report: Report,
): Ip | undefined {
  const ip = parseIp(text)
  if (ip === undefined || (family !== undefined && familyOf(ip) !== family)) {
    report.error(place, `expected an ${family ?? 'IP'} address, found ${describe(text)}`)
    return undefined
  }
  const special = specialAddress(ip)
  if (special === undefined) return ip
  report.error(place, `${ip} is ${special}, which cannot be an endpoint`)
  return undefined
}

function hintNames(hints: Fields | undefined, key: string): readonly string[] {
  if (hints?.has(key) !== true) return NO_HINTS
  return hints.maps(key).flatMap((hint) => {
    const name = hint.text('name')
    return name === undefined ? [] : [name]
  })
}

const NO_HINTS: readonly string[] = []
