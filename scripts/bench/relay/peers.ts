// What carries the connections of a measurement: nothing, HAProxy, nginx or our proxy, each with one thread that relays,
// all on the same node with the same rules in its kernel.

import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { addressesOf, nodeObjects, serviceObjects, writeManifest } from '../../../test/conformance/objects.ts'
import type { Lab } from '../../../test/support/lab/lab.ts'
import { exited } from '../../../test/support/lab/processes.ts'
import { shunt, startShunt } from '../../../test/support/lab/shunt.ts'
import { nodeAddress, nodeAddresses, ROUTED } from '../../../test/support/lab/topology.ts'
import { until } from '../../../test/support/lab/wait.ts'

export type PeerName = 'direct' | 'haproxy' | 'haproxy-splices' | 'nginx' | 'shunt' | 'shunt-stream'

export const PEER_TITLES: Readonly<Record<PeerName, string>> = {
  direct: 'direct to the endpoint',
  haproxy: 'HAProxy, `splice-auto`',
  'haproxy-splices': 'HAProxy, splicing always',
  nginx: 'nginx stream',
  shunt: 'Shunt, one engine',
  'shunt-stream': "Shunt on Node's sockets",
}

/** A proxy that runs on the lab's node. */
export interface RunningPeer {
  /** Where clients connect to. */
  readonly to: string
  /** Processes whose CPU is the proxy's. */
  readonly pids: readonly number[]
  stop(): Promise<void>
}

export const CLIENT_POD = 'p11'
export const SERVER_POD = 'p12'
export const ENDPOINT_PORT = 8080
const NODE = 'node1'
const SERVICE_NUMBER = 7
const LISTEN_PORT = 18_080

export function endpointOf(lab: Lab): string {
  const pod = lab.node(NODE).pods.find(({ name }) => name === SERVER_POD)
  if (pod === undefined) throw new Error(`no pod ${SERVER_POD}`)
  return pod.ipv4
}

/** The endpoint's port must be free: who waits for a path borrows it. */
export async function startPeerProxy(lab: Lab, name: PeerName): Promise<RunningPeer> {
  const steered = name === 'shunt' || name === 'shunt-stream'
  const relay = ['--relay', name === 'shunt' ? 'native' : 'stream', '--proxy-workers', '1']
  const node = await startNode(lab, steered, steered ? relay : [])
  if (steered) return { to: `${addressesOf(SERVICE_NUMBER).clusterIp.IPv4}:80`, ...node }
  if (name === 'direct')
    return { to: `${endpointOf(lab)}:${ENDPOINT_PORT}`, pids: [], stop: () => node.stop() }
  const proxy = name === 'nginx' ? startNginx(lab) : startHaproxy(lab, name === 'haproxy-splices')
  const to = `${nodeAddress(lab.node(NODE), 'IPv4')}:${LISTEN_PORT}`
  await untilAnswered(lab, to, undefined, () => {
    if (proxy.exitCode !== null) throw new Error(`${name} ended with ${proxy.exitCode}`)
  })
  return {
    to,
    pids: [proxy.pid ?? 0],
    stop: async () => {
      proxy.kill('SIGKILL')
      await exited(proxy)
      await node.stop()
    },
  }
}

/** The agent with its rules, and the proxy where it steers. */
async function startNode(lab: Lab, steered: boolean, flags: readonly string[]) {
  const manifests = join(lab.folder, 'bench-manifests')
  mkdirSync(manifests, { recursive: true })
  writeManifest(manifests, 'nodes', nodeObjects(ROUTED))
  const shape = { name: 'bench', number: SERVICE_NUMBER, type: 'ClusterIP' } as const
  writeManifest(manifests, 'bench', serviceObjects({ ...shape, endpoints: [{ pod: SERVER_POD }] }, ROUTED))
  const common = ['--manifests', manifests, '--datapath', 'iptables', '--log-level', 'warn']
  const steering = steered ? ['--steer', 'always', '--steering-mechanism', 'sk_lookup'] : ['--steer', 'never']
  const command = steered ? 'run' : 'agent'
  const running = startShunt(lab, NODE, { command, flags: [...common, ...steering, ...flags] })
  const service = `${addressesOf(SERVICE_NUMBER).clusterIp.IPv4}:80`
  const sources = steered ? nodeAddresses(lab.node(NODE)) : undefined
  await untilAnswered(lab, service, sources, () => {
    if (!running.running()) throw new Error(`it ended:\n${running.log().slice(-2000)}`)
  })
  return { pids: steered ? [await proxyPidOf(lab)] : [], stop: () => running.stop() }
}

/** @param sources what the endpoint must see as the client; undefined: anything */
async function untilAnswered(
  lab: Lab,
  to: string,
  sources: readonly string[] | undefined,
  throwIfOver: () => void,
): Promise<void> {
  const server = await lab.peer(SERVER_POD)
  const client = await lab.peer(CLIENT_POD)
  const [ip = '', port = ''] = to.split(':')
  await server.listen(endpointOf(lab), ENDPOINT_PORT, { name: SERVER_POD })
  await until(
    `connections to ${to} are answered`,
    async () => {
      throwIfOver()
      const [seen] = await client.connect(ip, Number(port), { timeoutMs: 500 })
      return seen?.kind === 'answered' && (sources === undefined || sources.includes(seen.source))
    },
    { withinMs: 30_000 },
  )
  await server.unlisten(endpointOf(lab), ENDPOINT_PORT)
}

/** Defaults but for the one thread and the splicing. */
function startHaproxy(lab: Lab, always: boolean): ChildProcess {
  const file = join(lab.folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 9300
  maxpipes 300
defaults
  mode tcp
  option splice-auto
${always ? '  option splice-request\n  option splice-response\n' : ''}  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind :${LISTEN_PORT}
  server endpoint ${endpointOf(lab)}:${ENDPOINT_PORT}
`,
  )
  return lab.spawn(NODE, ['/usr/sbin/haproxy', '-db', '-q', '-f', file], { stdio: 'ignore' })
}

function startNginx(lab: Lab): ChildProcess {
  const file = join(lab.folder, 'nginx.conf')
  writeFileSync(
    file,
    `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
worker_processes 1;
pid ${lab.folder}/nginx.pid;
error_log ${lab.folder}/nginx.log;
events { worker_connections 19500; }
stream {
  server {
    listen ${LISTEN_PORT} backlog=4096;
    proxy_pass ${endpointOf(lab)}:${ENDPOINT_PORT};
    proxy_timeout 1h;
    proxy_half_close on;
  }
}
`,
  )
  return lab.spawn(NODE, ['/usr/sbin/nginx', '-e', `${lab.folder}/nginx.log`, '-c', file], {
    stdio: 'ignore',
  })
}

async function proxyPidOf(lab: Lab): Promise<number> {
  const { stdout } = await shunt(lab, NODE, 'status', '-o', 'json')
  const { proxy } = JSON.parse(stdout) as { proxy?: { pid?: number } }
  if (proxy?.pid === undefined) throw new Error('`shunt status` names no proxy process')
  return proxy.pid
}
