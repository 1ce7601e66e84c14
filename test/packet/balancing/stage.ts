// Two nodes of a lab, agent and proxy of the first with two native workers, and Services with policies whose endpoints
// say who they are. What a test looks at is what clients and operators see: answers, commands, metrics.

import { join } from 'node:path'

import { hostPort, type Ip } from '#agent/model/ip.ts'
import type { ProxyStatus } from '#agent/proxy/admin-shapes.ts'
import type { EndpointState } from '#agent/proxy/endpoint-states.ts'

import {
  addressesOf,
  nodeObjects,
  serviceObjects,
  writeManifest,
  type Json,
  type LabFamily,
} from '../../conformance/objects.ts'
import { createLab, type Lab } from '../../support/lab/lab.ts'
import { startPair, untilWay, type Pair } from '../../support/lab/pair.ts'
import type { ConnectOptions, Held } from '../../support/lab/peer.ts'
import type { Behaviour, Seen } from '../../support/lab/peer-messages.ts'
import { shunt } from '../../support/lab/shunt.ts'
import { CLIENT } from '../../support/lab/topology.ts'
import { until } from '../../support/lab/wait.ts'

export const NODE = 'node1'
/** A pod of the first node. */
export const CLIENT_POD = 'p13'

type Fields = { readonly [field: string]: Json }

export interface BalancedService {
  readonly name: string
  /** 1 to 250, unique: its address, and its endpoints' port. */
  readonly number: number
  /** Pods; all of them listen, also those that are no endpoints at first. */
  readonly endpoints: readonly string[]
  readonly listening?: Behaviour | 'nobody'
  readonly family?: LabFamily
  /** Spec of the Service, and of its TrafficPolicy, beside what they must have. */
  readonly spec?: Fields
  readonly policy: Fields
}

/** A row of `shunt connections -o json`. */
export interface ConnectionRow {
  readonly client: string
  readonly endpoint: string
  readonly state: string
  readonly why: string
  readonly attempts: readonly string[]
}

const CLIENT_RANGE = '10.250.0.0/21'

/** Every pod but the client's. */
const PODS = ['p11', 'p12', 'p21', 'p22']

export class BalancingStage {
  readonly lab: Lab
  readonly pair: Pair
  readonly folder: string

  /** With everything steered. */
  static async start(services: readonly BalancedService[]): Promise<BalancingStage> {
    const lab = await createLab()
    try {
      const folder = join(lab.folder, 'manifests')
      writeManifest(folder, 'nodes', nodeObjects(lab.topology))
      const stage = new BalancingStage(lab, folder)
      const ready: BalancedService = { name: 'ready', number: 250, endpoints: ['p11'], policy: {} }
      for (const service of [...services, ready]) {
        stage.write(service)
        if (service.listening !== 'nobody')
          for (const pod of PODS) await stage.listen(pod, service, service.listening ?? 'answer')
      }
      const { code, stdout } = await shunt(lab, NODE, 'validate', '-f', folder)
      if (code !== 0) throw new Error(`the manifests of the test are wrong:\n${stdout}`)
      await stage.untilSteered(ready, stage.pair, CLIENT_POD)
      return stage
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(lab: Lab, folder: string) {
    this.lab = lab
    this.folder = folder
    this.pair = this.startPair(NODE)
  }

  /** A node's agent and proxy. */
  startPair(node: string): Pair {
    const flags = ['--manifests', this.folder, '--cluster-cidr', '10.244.0.0/16,fd00:244::/32']
    return startPair(this.lab, node, [], flags, ['--proxy-workers', '2', '--relay', 'native'])
  }

  async untilSteered(service: BalancedService, pair: Pair, from: string): Promise<void> {
    const asked = { from, to: this.to(service), port: 80, node: pair.node, way: 'proxy' as const }
    await untilWay(this.lab, { ...asked, logs: pair.logs, alive: () => pair.agent.running() })
  }

  /** Address of a Service for clients. */
  to({ number, family = 'IPv4' }: BalancedService): string {
    return addressesOf(number).clusterIp[family]
  }

  /** Writes or replaces the objects of a Service. */
  write({ name, number, endpoints, family = 'IPv4', spec = {}, policy }: BalancedService): void {
    const ports = [{ name: 'tcp', protocol: 'TCP' as const, port: 80, endpointPort: 9000 + number }]
    const shape = { name, number, type: 'ClusterIP' as const, families: [family], ports, spec }
    const objects = serviceObjects(
      { ...shape, endpoints: endpoints.map((pod) => ({ pod })) },
      this.lab.topology,
    )
    writeManifest(this.folder, name, [
      ...objects,
      {
        apiVersion: 'shunt.dev/v1alpha1',
        kind: 'TrafficPolicy',
        metadata: { name, namespace: 'default' },
        spec: { targetRefs: [{ kind: 'Service', name }], ...policy },
      },
    ])
  }

  /** The same, and waits until the proxy decides by it. */
  async change(service: BalancedService): Promise<void> {
    const { generation = 0 } = (await this.status()).view ?? {}
    this.write(service)
    await until(
      `the proxy has the new ${service.name}`,
      async () => ((await this.status()).view?.generation ?? 0) > generation,
      { explain: this.pair.logs },
    )
  }

  /** Makes `clientAddresses` the outside client's, so that both nodes can answer them. */
  async giveAddresses(): Promise<void> {
    const { client, nodes } = this.lab.topology
    await this.lab.exec(CLIENT, ['/usr/sbin/ip', 'route', 'add', 'local', CLIENT_RANGE, 'dev', 'lo'])
    const route = ['route', 'add', CLIENT_RANGE, 'via', client.lanIpv4]
    for (const { name } of nodes) await this.lab.exec(name, ['/usr/sbin/ip', ...route])
  }

  async listen(pod: string, service: BalancedService, behaviour: Behaviour = 'answer'): Promise<void> {
    const peer = await this.lab.peer(pod)
    await peer.listen(this.podAddress(pod, service.family), 9000 + service.number, { name: pod, behaviour })
  }

  /** From now on the pod refuses connections; those that stand stay. */
  async unlisten(pod: string, service: BalancedService): Promise<void> {
    const peer = await this.lab.peer(pod)
    await peer.unlisten(this.podAddress(pod, service.family), 9000 + service.number)
  }

  podAddress(name: string, family: LabFamily = 'IPv4'): string {
    const pods = this.lab.topology.nodes.flatMap(({ pods }) => pods)
    const pod = pods.find((each) => each.name === name)
    if (pod === undefined) throw new Error(`the lab has no pod ${name}`)
    return family === 'IPv4' ? pod.ipv4 : pod.ipv6
  }

  async connect(
    service: BalancedService,
    options: ConnectOptions & { readonly place?: string },
  ): Promise<readonly Seen[]> {
    const peer = await this.lab.peer(options.place ?? CLIENT_POD)
    return peer.connect(this.to(service), 80, { timeoutMs: 10_000, ...options })
  }

  /** So many connections at once that stay; those that failed are among them. */
  async hold(service: BalancedService, count: number, place = CLIENT_POD): Promise<readonly Held[]> {
    const peer = await this.lab.peer(place)
    const one = () => peer.hold(this.to(service), 80, { timeoutMs: 10_000 })
    return Promise.all(Array.from({ length: count }, one))
  }

  async status(): Promise<ProxyStatus> {
    return JSON.parse(await this.#ask('/status')) as ProxyStatus
  }

  /** What `shunt connections --ended` says of a Service. */
  async connections({ name }: BalancedService): Promise<readonly ConnectionRow[]> {
    const { stdout } = await shunt(this.lab, NODE, 'connections', name, '--ended', '-o', 'json')
    return JSON.parse(stdout) as readonly ConnectionRow[]
  }

  /** Pods that `shunt endpoints` says are ejected. */
  async ejected(service: BalancedService): Promise<readonly string[]> {
    const states = await this.#states(service)
    return [...states].filter(([, { ejectedForMs }]) => ejectedForMs !== null).map(([pod]) => pod)
  }

  /** Connections that the proxy counts for each endpoint. */
  async open(service: BalancedService): Promise<Readonly<Record<string, number>>> {
    const states = await this.#states(service)
    return Object.fromEntries([...states].map(([pod, { connections }]) => [pod, connections]))
  }

  async #states({ name, number, family }: BalancedService): Promise<ReadonlyMap<string, EndpointState>> {
    const { stdout } = await shunt(this.lab, NODE, 'endpoints', name, '-o', 'json')
    const rows = JSON.parse(stdout) as readonly EndpointState[]
    return new Map(
      PODS.flatMap((pod) => {
        const address = hostPort(this.podAddress(pod, family) as Ip, 9000 + number)
        const row = rows.find(({ endpoint }) => endpoint === address)
        return row === undefined ? [] : [[pod, row] as const]
      }),
    )
  }

  /** Sum of the series of a metric that carry these labels, and the Service's. */
  async metric(
    name: string,
    service: BalancedService,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const wanted = Object.entries({ service: `default/${service.name}:tcp/TCP`, ...labels })
    return (await this.#ask('/metrics'))
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`))
      .filter((line) => wanted.every(([label, value]) => line.includes(`${label}="${value}"`)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }

  /** Until no client of a Service has a connection. */
  async untilIdle(service: BalancedService): Promise<void> {
    await until(`${service.name} has no connection`, async () => {
      const accepted = await this.metric('shunt_proxy_connections_total', service)
      return accepted === (await this.metric('shunt_proxy_connections_ended_total', service))
    })
  }

  async stop(): Promise<void> {
    await this.pair.stop()
    await this.lab.close()
  }

  async #ask(path: string): Promise<string> {
    const argv = ['/usr/bin/curl', '-s', '--unix-socket', '/run/shunt/proxy.sock', `http://proxy${path}`]
    return (await this.lab.exec(NODE, argv)).stdout
  }
}

/** How often each endpoint answered; what went wrong by its kind and code. */
export function tally(seen: readonly Seen[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const one of seen) {
    const name = one.kind === 'answered' ? one.by : 'code' in one ? `${one.kind} ${one.code}` : one.kind
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** At most 1,500 different ones. */
export function clientAddresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `10.250.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`)
}
