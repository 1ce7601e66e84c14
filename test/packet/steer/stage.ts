// A lab with steering by hand: the node's agent and proxy stand-ins, an endpoint, and clients in every position.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { createLab, type Lab } from '../../support/lab/lab.ts'
import { MINIKUBE, ROUTED } from '../../support/lab/topology.ts'
import type { Seen } from '../../support/lab/peer-messages.ts'
import type { Request } from './agent-main.ts'
import { installRules, NODE_PORT, VIP, type Variant } from './rules.ts'

export interface Stage {
  readonly lab: Lab
  readonly node: string
  readonly pinDir: string
  readonly flows: readonly Flow[]
  /** Tells the agent's stand-in. */
  agent<T>(request: Request): Promise<T>
  startProxy(): Promise<Proxy>
  connect(flow: Flow, timeoutMs?: number): Promise<Seen>
}

export interface Proxy {
  readonly pid: number
  readonly ready: { readonly skLookup: { readonly kind: string }; readonly uid: number }
  signal(name: NodeJS.Signals): void
  ended(): Promise<void>
}

/** One client and one frontend. */
export interface Flow {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly port: number
  /** The client as the server must see it. */
  readonly source: string
  readonly forwarded: boolean
  /** The kernel serves it too; it has no DNAT from ::1. */
  readonly withoutProxy: boolean
}

export const KEYS = [
  { ip: VIP.IPv4, port: 80 },
  { ip: VIP.IPv6, port: 80 },
  { ip: undefined, port: NODE_PORT },
] as const

export async function createStage(
  shape: 'routed' | 'bridged',
  variant: Variant,
  mechanism: 'sk_lookup' | 'dnat' = 'sk_lookup',
): Promise<Stage> {
  const topology = shape === 'routed' ? ROUTED : MINIKUBE
  const lab = await createLab(topology)
  try {
    return await furnish(lab, variant, mechanism)
  } catch (error) {
    await lab.close()
    throw error
  }
}

async function furnish(lab: Lab, variant: Variant, mechanism: 'sk_lookup' | 'dnat'): Promise<Stage> {
  const node = lab.topology.nodes[0]
  const [endpoint, client] = node?.pods ?? []
  if (node === undefined || endpoint === undefined || client === undefined)
    throw new Error('the topology is too small')
  const proxy = mechanism === 'dnat' ? { IPv4: node.lanIpv4, IPv6: node.lanIpv6 } : undefined
  await installRules(lab, node.name, variant, { IPv4: endpoint.ipv4, IPv6: endpoint.ipv6 }, proxy)
  const server = await lab.peer(endpoint.name)
  await server.listen(endpoint.ipv4, 8080, { name: 'kernel' })
  await server.listen(endpoint.ipv6, 8080, { name: 'kernel' })

  // What kube-proxy and the bridge plugin set: NodePorts on 127.0.0.1, and bridged packets pass the rules.
  await lab.exec(node.name, ['/usr/sbin/sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1', ...BRIDGED])

  const pinDir = `${lab.folder}/bpf`
  const agentProcess = lab.spawn(node.name, [process.execPath, AGENT_MAIN, pinDir], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const agent = remote(agentProcess)
  await agent({ op: 'prepare', mechanism })
  await agent({ op: 'add', keys: KEYS as unknown as Extract<Request, { op: 'add' }>['keys'] })

  const pod = (name: string, from: string, source: string, to: string, port = 80): Flow => ({
    name,
    from,
    to,
    port,
    source,
    forwarded: from !== node.name,
    withoutProxy: to !== '::1',
  })
  const outside = lab.topology.client
  return {
    lab,
    node: node.name,
    pinDir,
    agent,
    flows: [
      pod('a Pod to the ClusterIP', client.name, client.ipv4, VIP.IPv4),
      pod('a Pod to the IPv6 ClusterIP', client.name, client.ipv6, VIP.IPv6),
      pod('a Pod to the NodePort', client.name, client.ipv4, node.lanIpv4, NODE_PORT),
      pod('outside to the NodePort', 'client', outside.lanIpv4, node.lanIpv4, NODE_PORT),
      pod('outside to the IPv6 NodePort', 'client', outside.lanIpv6, node.lanIpv6, NODE_PORT),
      pod('the node to the ClusterIP', node.name, node.lanIpv4, VIP.IPv4),
      pod('the node to the IPv6 ClusterIP', node.name, node.lanIpv6, VIP.IPv6),
      pod('the node to its NodePort', node.name, node.lanIpv4, node.lanIpv4, NODE_PORT),
      pod('the node to the NodePort on 127.0.0.1', node.name, '127.0.0.1', '127.0.0.1', NODE_PORT),
      pod('the node to the NodePort on ::1', node.name, '::1', '::1', NODE_PORT),
    ],
    startProxy: () => startProxy(lab, node.name, pinDir, mechanism),
    connect: async (flow, timeoutMs = 1500) => {
      const peer = await lab.peer(flow.from)
      const [seen] = await peer.connect(flow.to, flow.port, { timeoutMs })
      return seen ?? { kind: 'unreachable', code: 'NO_REPLY', ms: 0 }
    },
  }
}

const BRIDGED = ['net.bridge.bridge-nf-call-iptables=1', 'net.bridge.bridge-nf-call-ip6tables=1']
const PROXY_MAIN = fileURLToPath(new URL('./proxy-main.ts', import.meta.url))
export const AGENT_MAIN = fileURLToPath(new URL('./agent-main.ts', import.meta.url))

async function startProxy(lab: Lab, node: string, pinDir: string, mechanism: string): Promise<Proxy> {
  const child = lab.spawn(node, [process.execPath, PROXY_MAIN, pinDir, mechanism], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  if (!text.startsWith('ready ')) throw new Error(`the proxy did not start: ${text}`)
  return {
    pid: child.pid ?? 0,
    ready: JSON.parse(text.slice('ready '.length)) as Proxy['ready'],
    signal: (name) => void child.kill(name),
    ended: async () => void (await exit),
  }
}

/** Calls over IPC. */
export function remote(child: ChildProcess): <T>(request: Request) => Promise<T> {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let last = 0
  child.on('message', (message) => {
    const { id, value, error } = message as { id: number; value?: never; error?: string }
    if (error === undefined) waiting.get(id)?.resolve(value as never)
    else waiting.get(id)?.reject(new Error(error))
    waiting.delete(id)
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the agent's stand-in ended with ${code}`))
  })
  return (request) =>
    new Promise((resolve, reject) => {
      const id = ++last
      waiting.set(id, { resolve, reject })
      child.send({ id, request })
    })
}
