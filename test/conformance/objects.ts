// Builds Kubernetes objects for scenarios: dual-stack Services with addresses derived from one number, and the slices
// of their endpoints. Plain JSON values, as they would lie in a manifests folder.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { nodeAddress, type Topology } from '../support/lab/topology.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
export type KubernetesObject = { readonly [key: string]: Json }
export type LabFamily = 'IPv4' | 'IPv6'
export type LabProtocol = 'TCP' | 'UDP'

/** Addresses of a scenario's Service, all from its number. */
export interface ServiceAddresses {
  readonly clusterIp: Readonly<Record<LabFamily, string>>
  readonly externalIp: Readonly<Record<LabFamily, string>>
  readonly loadBalancerIp: Readonly<Record<LabFamily, string>>
  readonly nodePort: number
}

export interface ServiceShape {
  readonly name: string
  /** 1 to 250, unique. */
  readonly number: number
  /** LoadBalancer if not given, so that it has every kind of address. */
  readonly type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer'
  readonly families?: readonly LabFamily[]
  readonly endpoints: readonly EndpointShape[]
  /** Port 80 of both protocols, to 8080, if not given. */
  readonly ports?: readonly PortShape[]
  readonly spec?: { readonly [key: string]: Json }
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
  readonly externalIps?: boolean
  /** ipMode of the load balancer's address. */
  readonly ipMode?: 'VIP' | 'Proxy'
}

export interface PortShape {
  readonly name: string
  readonly protocol: LabProtocol
  readonly port: number
  readonly endpointPort: number
  /** Added to the number that the Service's NodePort comes from. */
  readonly nodePortOffset?: number
}

export interface EndpointShape {
  /** Name of a pod of the topology. */
  readonly pod: string
  readonly ready?: boolean
  readonly serving?: boolean
  readonly terminating?: boolean
  readonly zoneHints?: readonly string[]
}

const DEFAULT_PORTS: readonly PortShape[] = [
  { name: 'http', protocol: 'TCP', port: 80, endpointPort: 8080 },
  { name: 'dgram', protocol: 'UDP', port: 80, endpointPort: 8080 },
]

export function addressesOf(number: number): ServiceAddresses {
  const hex = number.toString(16)
  return {
    clusterIp: { IPv4: `10.96.0.${number}`, IPv6: `fd96::${hex}` },
    externalIp: { IPv4: `198.51.100.${number}`, IPv6: `fd98::${hex}` },
    loadBalancerIp: { IPv4: `203.0.113.${number}`, IPv6: `fd99::${hex}` },
    nodePort: 30_000 + number,
  }
}

/** The Service and one slice for each family. */
export function serviceObjects(shape: ServiceShape, topology: Topology): readonly KubernetesObject[] {
  const families = shape.families ?? ['IPv4', 'IPv6']
  const type = shape.type ?? 'LoadBalancer'
  const addresses = addressesOf(shape.number)
  const ports = shape.ports ?? DEFAULT_PORTS
  const service: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: shape.name,
      namespace: 'default',
      annotations: shape.annotations ?? {},
      labels: shape.labels ?? {},
    },
    spec: {
      type,
      ipFamilies: families,
      ipFamilyPolicy: families.length === 2 ? 'RequireDualStack' : 'SingleStack',
      clusterIP: addresses.clusterIp[families[0] ?? 'IPv4'],
      clusterIPs: families.map((family) => addresses.clusterIp[family]),
      ...(shape.externalIps === false || type === 'ClusterIP'
        ? {}
        : { externalIPs: families.map((family) => addresses.externalIp[family]) }),
      selector: { app: shape.name },
      ports: ports.map((port) => ({
        name: port.name,
        protocol: port.protocol,
        port: port.port,
        targetPort: port.endpointPort,
        ...(type === 'ClusterIP' ? {} : { nodePort: addresses.nodePort + (port.nodePortOffset ?? 0) }),
      })),
      ...shape.spec,
    },
    status: {
      loadBalancer:
        type === 'LoadBalancer'
          ? {
              ingress: families.map((family) => ({
                ip: addresses.loadBalancerIp[family],
                ipMode: shape.ipMode ?? 'VIP',
              })),
            }
          : {},
    },
  }
  return [service, ...families.map((family) => sliceObject(shape, family, topology))]
}

function sliceObject(shape: ServiceShape, family: LabFamily, topology: Topology): KubernetesObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${shape.name}-${family.toLowerCase()}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': shape.name },
    },
    addressType: family,
    ports: (shape.ports ?? DEFAULT_PORTS).map((port) => ({
      name: port.name,
      protocol: port.protocol,
      port: port.endpointPort,
    })),
    endpoints: shape.endpoints.map((endpoint) => endpointObject(endpoint, family, topology)),
  }
}

function endpointObject(endpoint: EndpointShape, family: LabFamily, topology: Topology): KubernetesObject {
  for (const node of topology.nodes) {
    const pod = node.pods.find((candidate) => candidate.name === endpoint.pod)
    if (pod === undefined) continue
    const ready = endpoint.ready ?? true
    return {
      addresses: [family === 'IPv4' ? pod.ipv4 : pod.ipv6],
      nodeName: node.name,
      zone: zoneOf(node.index),
      conditions: { ready, serving: endpoint.serving ?? ready, terminating: endpoint.terminating ?? false },
      ...(endpoint.zoneHints === undefined
        ? {}
        : { hints: { forZones: endpoint.zoneHints.map((name) => ({ name })) } }),
    }
  }
  throw new Error(`no pod ${endpoint.pod} in the topology`)
}

/** The Node objects of the lab. */
export function nodeObjects(topology: Topology): readonly KubernetesObject[] {
  return topology.nodes.map((node) => {
    const ranges = topology.podRanges[node.name]
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node.name, labels: { 'topology.kubernetes.io/zone': zoneOf(node.index) } },
      spec: ranges === undefined ? {} : { podCIDR: ranges.ipv4, podCIDRs: [ranges.ipv4, ranges.ipv6] },
      status: {
        addresses: [
          { type: 'InternalIP', address: nodeAddress(node, 'IPv4') },
          { type: 'InternalIP', address: nodeAddress(node, 'IPv6') },
          { type: 'Hostname', address: node.name },
        ],
      },
    }
  })
}

/** Writes or replaces one file of a manifests folder in one step, so that a watcher never sees half of it. */
export function writeManifest(folder: string, name: string, objects: readonly KubernetesObject[]): void {
  mkdirSync(folder, { recursive: true })
  const text = objects.map((object) => JSON.stringify(object, undefined, 1)).join('\n---\n')
  const hidden = join(folder, `.${name}.new`)
  writeFileSync(hidden, `${text}\n`)
  renameSync(hidden, join(folder, `${name}.yaml`))
}

function zoneOf(index: number): string {
  return index === 1 ? 'zone-a' : 'zone-b'
}
