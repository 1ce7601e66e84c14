// v1 Service. Checked as the API server checks the fields that the data plane uses; kube-proxy's tolerance for single
// bad addresses and ranges is kept (rows 12 and 26).

import { parseIp, type Ip } from '../../model/ip.ts'
import { serviceId } from '../../model/ids.ts'
import type { Affinity, LoadBalancerIngress, Service, ServiceType } from '../../model/service.ts'
import { readableCidrs, readableIps } from './addresses.ts'
import { clusterIps } from './cluster-ips.ts'
import type { Fields } from './fields.ts'
import { AFFINITY_CONFIG, CLIENT_IP_CONFIG, SERVICE_SPEC } from './known-fields.ts'
import { decodeObject, type Metadata, type ObjectShape } from './object.ts'
import type { Place } from './place.ts'
import { describe, type Decoding } from './report.ts'
import { servicePorts } from './service-ports.ts'
import { steeringWish } from './steering-wish.ts'

const SHAPE: ObjectShape = { kind: 'Service', scope: 'namespaced', naming: 'label', fields: ['spec'] }

const TYPES: readonly ServiceType[] = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']
const POLICIES = ['Cluster', 'Local'] as const

/** The API's default and bounds of `sessionAffinityConfig.clientIP.timeoutSeconds` (row 50). */
const AFFINITY_DEFAULT_SECONDS = 10_800
const AFFINITY_MOST_SECONDS = 86_400

/** `root` is where the object stands in its document, when that is not the document itself. */
export function decodeService(input: unknown, root?: Place): Decoding<Service> {
  return decodeObject(input, root, SHAPE, (object, metadata) => {
    if (!object.has('spec')) {
      object.report.error(object.at('spec'), 'missing: a Service needs a spec')
      return undefined
    }
    const spec = object.map('spec')
    return spec === undefined ? undefined : readService(object, spec, metadata)
  })
}

function readService(object: Fields, spec: Fields, metadata: Metadata): Service {
  spec.only(SERVICE_SPEC)
  // An unreadable type must cause no complaint about what it allows; a LoadBalancer is allowed everything.
  const type = spec.oneOf('type', TYPES, spec.has('type') ? 'LoadBalancer' : 'ClusterIP')
  const ips = clusterIps(spec, type)
  return {
    id: serviceId(metadata.namespace, metadata.name),
    namespace: metadata.namespace,
    name: metadata.name,
    type,
    headless: ips.length === 0,
    foreignProxy: metadata.labels?.has('service.kubernetes.io/service-proxy-name') ?? false,
    clusterIps: ips,
    ports: servicePorts(spec, type, ips.length === 0),
    externalIps: readableIps(spec, 'externalIPs'),
    loadBalancer: ingress(object),
    sourceRanges: readableCidrs(spec, 'loadBalancerSourceRanges'),
    internalTrafficPolicy: spec.oneOf('internalTrafficPolicy', POLICIES, 'Cluster'),
    // The API clears this field with an empty text when the type no longer has external addresses.
    externalTrafficPolicy:
      spec.raw('externalTrafficPolicy') === ''
        ? 'Cluster'
        : spec.oneOf('externalTrafficPolicy', POLICIES, 'Cluster'),
    affinity: affinity(spec),
    healthCheckNodePort: spec.integer('healthCheckNodePort', 0, 65_535) ?? 0,
    ...steeringWish(metadata.annotations),
  }
}

function affinity(spec: Fields): Affinity {
  const kind = spec.oneOf('sessionAffinity', ['None', 'ClientIP'], 'None')
  const config = spec.map('sessionAffinityConfig')
  config?.only(AFFINITY_CONFIG)
  const clientIp = config?.map('clientIP')
  clientIp?.only(CLIENT_IP_CONFIG)
  const timeoutSeconds = clientIp?.integer('timeoutSeconds', 1, AFFINITY_MOST_SECONDS)
  if (kind === 'ClientIP') return { kind, timeoutSeconds: timeoutSeconds ?? AFFINITY_DEFAULT_SECONDS }
  if (clientIp !== undefined) {
    spec.report.error(spec.at('sessionAffinityConfig'), 'allowed only with sessionAffinity: ClientIP')
  }
  return { kind: 'None' }
}

/** Entries without an IP have only a host name, which is not ours to serve (row 21). */
function ingress(object: Fields): LoadBalancerIngress[] {
  const entries = object.map('status')?.map('loadBalancer')?.maps('ingress') ?? []
  return entries.flatMap((entry): LoadBalancerIngress[] => {
    const text = entry.text('ip') ?? ''
    const mode = entry.oneOf('ipMode', ['VIP', 'Proxy'], 'VIP')
    if (text === '') return []
    const ip: Ip | undefined = parseIp(text)
    if (ip !== undefined) return [{ ip, mode }]
    entry.report.warn(entry.at('ip'), `expected an IP address, found ${describe(text)}; the entry is skipped`)
    return []
  })
}
