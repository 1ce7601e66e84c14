// Memory of a real agent process that carries a large cluster from a manifests folder, in a network namespace of its
// own, and the time until the kernel has all of it.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createLab } from '../../test/support/lab/lab.ts'
import { shunt, startShunt } from '../../test/support/lab/shunt.ts'
import { ROUTED } from '../../test/support/lab/topology.ts'
import { until } from '../../test/support/lab/wait.ts'
import { madeUpCluster } from './cluster.ts'

export interface MemoryFigures {
  readonly serviceCount: number
  readonly endpointCount: number
  /** When all rules are in the kernel and the agent has been idle for a while. */
  readonly idleMib: number
  /** Highest resident size since the start (VmHWM). */
  readonly peakMib: number
  readonly readySeconds: number
}

const SETTLE_MS = 15_000
const SERVICES_PER_FILE = 500

export async function measureMemory(
  serviceCount: number,
  endpointsPerService: number,
): Promise<MemoryFigures> {
  const lab = await createLab(ROUTED)
  try {
    const folder = join(lab.folder, 'large-cluster')
    writeCluster(folder, serviceCount, endpointsPerService)
    const started = performance.now()
    const agent = startShunt(lab, 'node1', {
      command: 'agent',
      flags: [
        '--manifests',
        folder,
        '--datapath',
        'iptables',
        '--iptables-variant',
        'legacy',
        '--log-level',
        'info',
      ],
    })
    try {
      await until(
        'the agent is ready',
        async () => {
          if (!agent.running()) throw new Error(`the agent ended:\n${agent.log().slice(-2000)}`)
          return (await shunt(lab, 'node1', 'status')).code === 0
        },
        { withinMs: 300_000, everyMs: 1000, explain: () => agent.log().slice(-2000) },
      )
      const readySeconds = (performance.now() - started) / 1000
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8')
      return {
        serviceCount,
        endpointCount: serviceCount * endpointsPerService,
        idleMib: mibOf(status, 'VmRSS'),
        peakMib: mibOf(status, 'VmHWM'),
        readySeconds,
      }
    } finally {
      await agent.stop()
    }
  } finally {
    await lab.close()
  }
}

function mibOf(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)
  return Number(match?.[1] ?? Number.NaN) / 1024
}

/** JSON files of Services with their slices, as `kubectl get -o json` would list them. */
function writeCluster(folder: string, serviceCount: number, endpointsPerService: number): void {
  mkdirSync(folder, { recursive: true })
  const { services, slices } = madeUpCluster(serviceCount, endpointsPerService)
  let items: object[] = []
  let file = 0
  const flush = (): void => {
    if (items.length === 0) return
    writeFileSync(
      join(folder, `part-${file++}.json`),
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    )
    items = []
  }
  for (const service of services.values()) {
    items.push({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: service.namespace, name: service.name },
      spec: {
        type: service.type,
        clusterIP: service.clusterIps[0],
        clusterIPs: service.clusterIps,
        ports: service.ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
      },
    })
    for (const slice of slices.get(service.id) ?? []) {
      items.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          namespace: service.namespace,
          name: slice.id.slice(service.namespace.length + 1),
          labels: { 'kubernetes.io/service-name': service.name },
        },
        addressType: slice.family,
        ports: slice.ports,
        endpoints: slice.endpoints.map(({ ip, nodeName }) => ({
          addresses: [ip],
          nodeName,
          conditions: { ready: true },
        })),
      })
    }
    if (items.length >= SERVICES_PER_FILE * 2) flush()
  }
  flush()
}
