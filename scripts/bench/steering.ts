// Connection rate and CPU of the two steering mechanisms, beside the kernel's own balancing and a direct connection,
// in one run on one lab: a pod opens short connections (64 bytes and an answer) to an endpoint of the same node.

import { join } from 'node:path'

import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../../test/conformance/objects.ts'
import { createLab, type Lab } from '../../test/support/lab/lab.ts'
import { shunt, startShunt } from '../../test/support/lab/shunt.ts'
import { ROUTED, nodeAddresses } from '../../test/support/lab/topology.ts'
import { until } from '../../test/support/lab/wait.ts'
import { mkdirSync } from 'node:fs'
import { spreadOf, type Spread } from './machine.ts'
import { cpuUsOf } from './process.ts'

export type Path = 'direct' | 'kernel' | 'sk_lookup' | 'dnat'

export interface SteeringFigures {
  readonly path: Path
  readonly connectionsPerSecond: Spread
  /** Of the proxy process; undefined where no proxy is on the path. */
  readonly proxyCpuUs: Spread | undefined
}

const PATHS: readonly Path[] = ['direct', 'kernel', 'sk_lookup', 'dnat']
const ROUNDS = 5
const CONNECTIONS = 3000
const CONCURRENCY = 16
const SERVICE_NUMBER = 7
const SERVER_POD = 'p12'
const CLIENT_POD = 'p11'

export async function measureSteering(): Promise<readonly SteeringFigures[]> {
  const rates = new Map<Path, number[]>(PATHS.map((path) => [path, []]))
  const cpus = new Map<Path, number[]>(PATHS.map((path) => [path, []]))
  // Interleaved, so that a busy minute of the machine hits every path; each time in a new lab, so that no path meets
  // sockets in TIME_WAIT that another left behind.
  for (let round = 0; round < ROUNDS; round++) {
    for (const path of PATHS) {
      const result = await inNewLab(path)
      rates.get(path)?.push(result.connectionsPerSecond)
      if (result.proxyCpuUs !== undefined) cpus.get(path)?.push(result.proxyCpuUs)
    }
  }
  return PATHS.map((path) => {
    const cpu = cpus.get(path) ?? []
    return {
      path,
      connectionsPerSecond: spreadOf(rates.get(path) ?? []),
      proxyCpuUs: cpu.length === 0 ? undefined : spreadOf(cpu),
    }
  })
}

async function inNewLab(path: Path) {
  const lab = await createLab(ROUTED)
  try {
    const server = lab.node('node1').pods.find((pod) => pod.name === SERVER_POD)
    if (server === undefined) throw new Error(`no pod ${SERVER_POD}`)
    await (await lab.peer(SERVER_POD)).listen(server.ipv4, 8080, { name: SERVER_POD })
    const manifests = join(lab.folder, 'bench-manifests')
    mkdirSync(manifests, { recursive: true })
    writeManifest(manifests, 'nodes', nodeObjects(ROUTED))
    const endpoints = [{ pod: SERVER_POD }]
    const shape = { name: 'bench', number: SERVICE_NUMBER, type: 'ClusterIP', endpoints } as const
    writeManifest(manifests, 'bench', serviceObjects(shape, ROUTED))
    return await measurePath(lab, path, manifests, server.ipv4)
  } finally {
    await lab.close()
  }
}

async function measurePath(
  lab: Lab,
  path: Path,
  manifests: string,
  serverIp: string,
): Promise<{ connectionsPerSecond: number; proxyCpuUs: number | undefined }> {
  const client = await lab.peer(CLIENT_POD)
  if (path === 'direct')
    return { ...(await load(lab, serverIp, 8080, undefined, 'direct')), proxyCpuUs: undefined }

  const clusterIp = addressesOf(SERVICE_NUMBER).clusterIp.IPv4
  const steered = path !== 'kernel'
  const flags = ['--manifests', manifests, '--datapath', 'iptables', '--log-level', 'warn']
  const steering = steered
    ? ['--steer', 'always', '--steering-mechanism', path, '--proxy-workers', '1']
    : ['--steer', 'never']
  const process = startShunt(lab, 'node1', {
    command: steered ? 'run' : 'agent',
    flags: [...flags, ...steering],
  })
  try {
    const expected = steered ? nodeAddresses(lab.node('node1')) : []
    await until(
      `${path} serves`,
      async () => {
        const [seen] = await client.connect(clusterIp, 80, { timeoutMs: 500 })
        return seen?.kind === 'answered' && (!steered || expected.includes(seen.source))
      },
      { withinMs: 20_000, explain: () => process.log().slice(-2000) },
    )
    const proxyPid = steered ? await proxyPidOf(lab) : undefined
    return await load(lab, clusterIp, 80, proxyPid, path)
  } finally {
    await process.stop()
    await shunt(lab, 'node1', 'cleanup')
  }
}

async function load(lab: Lab, to: string, port: number, proxyPid: number | undefined, path: Path) {
  const client = await lab.peer(CLIENT_POD)
  const proxyPids = proxyPid === undefined ? [] : [proxyPid]
  await client.connect(to, port, { count: 200, concurrency: CONCURRENCY })
  const cpuBefore = cpuUsOf(proxyPids)
  const started = performance.now()
  const seen = await client.connect(to, port, {
    count: CONNECTIONS,
    concurrency: CONCURRENCY,
    timeoutMs: 10_000,
  })
  const elapsedSeconds = (performance.now() - started) / 1000
  const failed = seen.filter((one) => one.kind !== 'answered')
  if (failed.length > 0)
    throw new Error(`${path}: ${failed.length} of ${CONNECTIONS} failed: ${JSON.stringify(failed[0])}`)
  return {
    connectionsPerSecond: CONNECTIONS / elapsedSeconds,
    proxyCpuUs: proxyPid === undefined ? undefined : (cpuUsOf(proxyPids) - cpuBefore) / CONNECTIONS,
  }
}

async function proxyPidOf(lab: Lab): Promise<number> {
  const { stdout } = await shunt(lab, 'node1', 'status', '-o', 'json')
  const pid = findPid(JSON.parse(stdout))
  if (pid === undefined) throw new Error('`shunt status` names no proxy process')
  return pid
}

/** `proxy.pid`, wherever the document keeps the proxy's own status. */
function findPid(document: unknown): number | undefined {
  if (typeof document !== 'object' || document === null) return undefined
  const { proxy } = document as { proxy?: { pid?: unknown } }
  return typeof proxy?.pid === 'number' ? proxy.pid : undefined
}
