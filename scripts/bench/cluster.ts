// A made-up cluster of any size for benchmarks: n Services with one TCP port and m ready endpoints each, spread over
// 50 nodes. Equal arguments make equal clusters.

import type { EndpointSlice } from '../../agent/model/endpoint.ts'
import { serviceId, type ServiceId } from '../../agent/model/ids.ts'
import { ipFromBytes, type Ip } from '../../agent/model/ip.ts'
import type { Service } from '../../agent/model/service.ts'
import type { Snapshot } from '../../agent/plan/snapshot.ts'

export const BENCH_NODE = 'node-0'
const NODE_COUNT = 50

export function madeUpCluster(serviceCount: number, endpointsPerService: number): Snapshot {
  const services = new Map<ServiceId, Service>()
  const slices = new Map<ServiceId, readonly EndpointSlice[]>()
  for (let i = 0; i < serviceCount; i++) {
    const service = madeUpService(i)
    services.set(service.id, service)
    slices.set(service.id, [madeUpSlice(service, i, endpointsPerService)])
  }
  return {
    generation: 1,
    services,
    slices,
    node: {
      name: BENCH_NODE,
      addresses: ['192.0.2.1' as Ip],
      zone: '',
      podCidrs: [],
      taints: [],
      deleting: false,
    },
    serviceCidrs: [],
    routes: new Map(),
    policies: new Map(),
    grants: [],
  }
}

/** The next Snapshot: one Service gets another first endpoint. */
export function withOneChange(snapshot: Snapshot, index: number, round: number): Snapshot {
  const id = madeUpService(index).id
  const [slice, ...rest] = snapshot.slices.get(id) ?? []
  const [endpoint, ...others] = slice?.endpoints ?? []
  if (slice === undefined || endpoint === undefined) throw new Error(`no Service number ${index}`)
  const moved = { ...endpoint, ip: ipFromBytes(Uint8Array.of(10, 250, (round >> 8) & 0xff, round & 0xff)) }
  const slices = new Map(snapshot.slices)
  slices.set(id, [{ ...slice, endpoints: [moved, ...others] }, ...rest])
  return { ...snapshot, generation: snapshot.generation + 1, slices }
}

function madeUpService(index: number): Service {
  const namespace = `team-${String(index % 100).padStart(2, '0')}`
  const name = `service-${String(index).padStart(5, '0')}`
  return {
    id: serviceId(namespace, name),
    namespace,
    name,
    type: 'ClusterIP',
    headless: false,
    foreignProxy: false,
    clusterIps: [ipFromBytes(Uint8Array.of(10, 96 + (index >> 16), (index >> 8) & 0xff, index & 0xff))],
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 0 }],
    externalIps: [],
    loadBalancer: [],
    sourceRanges: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    affinity: { kind: 'None' },
    healthCheckNodePort: 0,
    steer: 'auto',
    whenProxyDown: 'balance',
  }
}

function madeUpSlice(service: Service, index: number, endpointCount: number): EndpointSlice {
  return {
    id: `${service.id}-abcde`,
    service: service.id,
    family: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: Array.from({ length: endpointCount }, (_, i) => {
      const number = index * endpointCount + i
      return {
        ip: ipFromBytes(
          Uint8Array.of(10, 128 + ((number >> 16) & 0x3f), (number >> 8) & 0xff, number & 0xff),
        ),
        nodeName: `node-${number % NODE_COUNT}`,
        ready: true,
        serving: true,
        terminating: false,
        zone: '',
        zoneHints: [],
        nodeHints: [],
      }
    }),
  }
}
