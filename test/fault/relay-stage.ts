// A node of a lab with agent and proxy, Services whose endpoints are the load tool's, and a client pod: what fault tests of
// the relay stand on. What the operator would look at is what the tests look at: metrics, log, /proc.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

import type { ProxyConnections, ProxyStatus } from '#agent/proxy/admin-shapes.ts'
import { addressesOf, nodeObjects, writeManifest, type Json } from '../conformance/objects.ts'
import { createLab, type Lab } from '../support/lab/lab.ts'
import { liveHeapOf } from '../support/lab/live-heap.ts'
import { startShunt, type Shunt } from '../support/lab/shunt.ts'
import { until } from '../support/lab/wait.ts'
import {
  startLoad,
  type Load,
  type LoadArguments,
  type LoadMode,
  type LoadResults,
} from '../support/load/load.ts'

export const NODE = 'node1'
export const CLIENT_POD = 'p11'
/** Good endpoints live here, bad ones there. */
export const GOOD_POD = 'p12'
export const BAD_POD = 'p13'

export interface RelayService {
  readonly name: string
  /** 1 to 250, unique: its address, and its endpoints' port. */
  readonly number: number
  /** Behaviours of the load tool, by pod; `unreachable`: an address that no route leads to. */
  readonly endpoints: readonly Endpoint[]
  /** Spec of its TrafficPolicy beside the target. */
  readonly policy?: { readonly [field: string]: Json }
}

export type Endpoint = { readonly pod: string; readonly behaviour: string } | { readonly unreachable: true }

export interface OpenNow {
  readonly socket: number
  readonly anon_inode: number
}

export interface Held {
  readonly heapBytes: number
  readonly rssBytes: number
}

export type Relay = 'native' | 'stream'

export interface StageOptions {
  readonly relay: Relay
  readonly workers?: number
  readonly services: readonly RelayService[]
  /** Of agent and proxy. */
  readonly flags?: readonly string[]
}

const READY: RelayService = {
  name: 'ready',
  number: 250,
  endpoints: [{ pod: GOOD_POD, behaviour: 'answer' }],
}
const UNREACHABLE = '10.244.1.99'

export class RelayStage {
  readonly lab: Lab
  readonly agent: Shunt
  readonly proxy: Shunt
  readonly #servers = new Map<string, Load<'serve'>>()

  static async start(options: StageOptions): Promise<RelayStage> {
    const lab = await createLab()
    try {
      const stage = await RelayStage.#startIn(lab, options)
      await stage.untilSteered()
      return stage
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  static async #startIn(lab: Lab, options: StageOptions): Promise<RelayStage> {
    const manifests = manifestsOf(lab)
    writeManifest(manifests, 'nodes', nodeObjects(lab.topology))
    const services = [...options.services, READY]
    for (const service of services) publish(lab, service)
    await lab.exec(NODE, ['/usr/sbin/ip', 'route', 'add', 'unreachable', `${UNREACHABLE}/32`])
    const flags = options.flags ?? []
    const agentFlags = ['--manifests', manifests, '--datapath', 'iptables', '--steer', 'always', ...flags]
    const agent = startShunt(lab, NODE, { command: 'agent', flags: agentFlags })
    const relay = ['--relay', options.relay, '--proxy-workers', String(options.workers ?? 1)]
    const proxy = startShunt(lab, NODE, { command: 'proxy', flags: [...relay, ...flags] })
    const stage = new RelayStage(lab, agent, proxy)
    for (const pod of [GOOD_POD, BAD_POD]) {
      const on = services.flatMap((service) => listensOf(lab, service, pod))
      if (on.length > 0) stage.#servers.set(pod, await stage.load(pod, 'serve', { on }))
    }
    return stage
  }

  private constructor(lab: Lab, agent: Shunt, proxy: Shunt) {
    this.lab = lab
    this.agent = agent
    this.proxy = proxy
  }

  /** `ip:port` of a Service for clients. */
  to(service: { readonly number: number }): string {
    return `${addressesOf(service.number).clusterIp.IPv4}:80`
  }

  /** Changes the endpoints of a Service that exists; servers stay as they are. */
  publish(service: RelayService): void {
    publish(this.lab, service)
  }

  /** A load at a place; it has begun when this resolves. `before`: a program that starts it, as setpriv does. */
  async load<M extends LoadMode>(
    place: string,
    mode: M,
    given: LoadArguments,
    before: readonly string[] = [],
  ): Promise<Load<M>> {
    const load = await startLoad(
      (argv, options) => this.lab.spawn(place, [...before, ...argv], options),
      mode,
      given,
    )
    await load.begun
    return load
  }

  /** Of the client pod, from its start to its end. */
  async run<M extends LoadMode>(mode: M, given: LoadArguments): Promise<LoadResults[M]> {
    return (await this.load(CLIENT_POD, mode, given)).result
  }

  /** What an endpoint's server saw until now. */
  async saw(service: RelayService, pod: string = GOOD_POD) {
    const report = await this.#servers.get(pod)?.report()
    const address = `${podAddress(this.lab, pod)}:${endpointPort(service)}`
    const found = report?.listeners.find((listener) => listener.address === address)
    if (found === undefined) throw new Error(`${pod} does not serve ${service.name}`)
    return found.saw
  }

  async status(): Promise<ProxyStatus> {
    return JSON.parse(await this.#ask('/status')) as ProxyStatus
  }

  async connections(): Promise<ProxyConnections> {
    return JSON.parse(await this.#ask('/connections')) as ProxyConnections
  }

  /** Sum of the series of a metric that carry these labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    return (await this.#ask('/metrics'))
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => wanted.every((pair) => line.includes(pair)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  /** Waits until a metric is at least so much. */
  async untilMetric(name: string, labels: Readonly<Record<string, string>>, atLeast: number): Promise<void> {
    await until(`${name} ${JSON.stringify(labels)} reaches ${atLeast}`, async () => {
      return (await this.metric(name, labels)) >= atLeast
    })
  }

  /** Waits until no client has a connection. */
  async untilNoneOpen(): Promise<void> {
    await until(
      'no connection is open',
      async () => {
        const { live } = await this.connections()
        return live.length === 0
      },
      { explain: () => this.logs() },
    )
  }

  /** What the proxy process has open, by kind: `socket`, `pipe`, `anon_inode`, ... */
  descriptors(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const fd of readdirSync(`/proc/${this.proxy.pid}/fd`)) {
      const kind = linkOf(`/proc/${this.proxy.pid}/fd/${fd}`).split(':')[0] ?? ''
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    return counts
  }

  /** Without the pipes of the engines' pools, of which they may keep more or fewer. */
  openNow(): OpenNow {
    const { socket = 0, anon_inode = 0 } = Object.fromEntries(this.descriptors())
    return { socket, anon_inode }
  }

  /** Waits until no more is open than that; a self-test or a question to the admin socket opens some for a moment. */
  async untilOpen(most: OpenNow): Promise<void> {
    await until(
      `no more is open than ${JSON.stringify(most)}`,
      () => {
        const { socket, anon_inode } = this.openNow()
        return socket <= most.socket && anon_inode <= most.anon_inode
      },
      { explain: () => JSON.stringify(this.openNow()) },
    )
  }

  /** What the proxy holds on to, after a full collection. */
  async held(): Promise<Held> {
    const { heapUsedBytes, externalBytes } = await liveHeapOf(this.lab, NODE, this.proxy.pid)
    return { heapBytes: heapUsedBytes + externalBytes, rssBytes: this.rssKib() * 1024 }
  }

  rssKib(): number {
    const status = readFileSync(`/proc/${this.proxy.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN)
  }

  logs(): string {
    return `--- agent\n${this.agent.log().slice(-2000)}\n--- proxy\n${this.proxy.log().slice(-4000)}`
  }

  async stop(): Promise<void> {
    await Promise.all([this.agent.stop(), this.proxy.kill()])
    await this.lab.close()
  }

  /** Until connections reach the proxy. */
  async untilSteered(): Promise<void> {
    await until(
      'connections are steered',
      async () => {
        for (const one of [this.agent, this.proxy])
          if (!one.running()) throw new Error(`it ended:\n${this.logs()}`)
        await this.run('conns', { to: this.to(READY), count: 1, 'timeout-ms': 500 })
        const seen = await this.metric('shunt_proxy_connections_total').catch(() => 0)
        return seen > 0
      },
      { withinMs: 20_000, everyMs: 100, explain: () => this.logs() },
    )
  }

  async #ask(path: string): Promise<string> {
    const argv = ['/usr/bin/curl', '-s', '--unix-socket', '/run/shunt/proxy.sock', `http://proxy${path}`]
    return (await this.lab.exec(NODE, argv)).stdout
  }
}

function manifestsOf(lab: Lab): string {
  return join(lab.folder, 'manifests')
}

function publish(lab: Lab, service: RelayService): void {
  writeManifest(manifestsOf(lab), service.name, objectsOf(lab, service))
}

function endpointPort(service: RelayService): number {
  return 9000 + service.number
}

function podAddress(lab: Lab, name: string): string {
  const pod = lab.node(NODE).pods.find((one) => one.name === name)
  if (pod === undefined) throw new Error(`${NODE} has no pod ${name}`)
  return pod.ipv4
}

function listensOf(lab: Lab, service: RelayService, pod: string): readonly string[] {
  return service.endpoints.flatMap((endpoint) =>
    'pod' in endpoint && endpoint.pod === pod
      ? [`${podAddress(lab, pod)}:${endpointPort(service)}=${endpoint.behaviour}`]
      : [],
  )
}

function objectsOf(lab: Lab, service: RelayService) {
  const { name, number, policy } = service
  const metadata = { name, namespace: 'default' }
  const addresses = service.endpoints.map((endpoint) =>
    'pod' in endpoint ? podAddress(lab, endpoint.pod) : UNREACHABLE,
  )
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        type: 'ClusterIP',
        clusterIP: addressesOf(number).clusterIp.IPv4,
        ports: [{ name: 'tcp', protocol: 'TCP', port: 80, targetPort: endpointPort(service) }],
      },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'tcp', protocol: 'TCP', port: endpointPort(service) }],
      endpoints: addresses.map((address) => ({
        addresses: [address],
        nodeName: NODE,
        conditions: { ready: true },
      })),
    },
    ...(policy === undefined
      ? []
      : [
          {
            apiVersion: 'shunt.dev/v1alpha1',
            kind: 'TrafficPolicy',
            metadata,
            spec: { targetRefs: [{ name }], ...policy },
          },
        ]),
  ]
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return 'gone'
  }
}
