// What a decision costs: decide() for a new connection, by balancer and size of the pool, with as many connections open
// as there are endpoints; and the longest single decision while the pool changes, which is when tables are made.

import { BALANCERS } from '#agent/proxy/decision/balance/balancer.ts'
import { parseIp, type Ip } from '#agent/model/ip.ts'
import type { Cidr } from '#agent/model/cidr.ts'
import {
  DEFAULT_CONNECTION_POLICY,
  type BalancerKind,
  type ConnectionPolicy,
} from '#agent/model/connection-policy.ts'
import type { ServicePortKey } from '#agent/model/ids.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { decide, type DecideState } from '#agent/proxy/decision/decide.ts'
import type { ConnectDecision } from '#agent/proxy/decision/decision.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView, ViewEndpoint } from '#agent/proxy/decision/view.ts'
import { formatSpread, spreadOf, type Spread } from './machine.ts'
import { table, type Section } from './section.ts'

const KINDS = Object.keys(BALANCERS) as readonly BalancerKind[]
const SIZES = [10, 1_000]
const LARGE = 1_000
const RUNS = 7
const DECISIONS = 20_000
const CHANGES = 30

export interface DecideFigures {
  readonly kind: BalancerKind
  readonly size: number
  readonly weighted: boolean
  /** One decision, without anything else. */
  readonly decideNs: Spread
  /** With the events of the connection that it leads to. */
  readonly wholeNs: Spread
  /** The longest one just after the pool changed. */
  readonly longestMs: Spread
}

const SERVICE = 'default/web/TCP' as ServicePortKey

export function measureDecide(kind: BalancerKind, size: number, weighted: boolean): DecideFigures {
  const bench = new Bench(kind, size, weighted)
  bench.decisions(DECISIONS)
  return {
    kind,
    size,
    weighted,
    decideNs: spreadOf(Array.from({ length: RUNS }, () => bench.decisions(DECISIONS))),
    wholeNs: spreadOf(Array.from({ length: RUNS }, () => bench.connections(DECISIONS))),
    longestMs: spreadOf(Array.from({ length: CHANGES }, () => bench.change())),
  }
}

export function decideSection(): Section {
  const figures = SIZES.flatMap((size) =>
    [false, true].flatMap((weighted) => KINDS.map((kind) => measureDecide(kind, size, weighted))),
  )
  const rows = figures.map((f) => [
    f.kind,
    f.size.toLocaleString('en-US'),
    f.weighted ? '1 to 10' : 'equal',
    formatSpread(f.decideNs, 0),
    formatSpread(f.wholeNs, 0),
    formatSpread(f.longestMs, 2),
  ])
  const slowest = Math.max(...figures.filter((f) => f.size === LARGE).map((f) => f.decideNs.median))
  return {
    text: `## Decisions\n\nOne thread, no sockets; six candidates each. CPU ns; with its connection: also the counts of its start, its success and its end. Median (min-max).\n\n${table(['balancer', 'endpoints', 'weights', 'decision', 'with its connection', 'longest after a change of the pool, ms'], rows)}`,
    bars: [
      { what: 'slowest decision at 1,000 endpoints', measured: slowest / 1_000, atMost: 10, unit: 'µs' },
    ],
  }
}

class Bench {
  readonly #state: DecideState
  readonly #policy: ConnectionPolicy
  readonly #weighted: boolean
  readonly #size: number
  #view: ProxyView
  #client = 0

  constructor(kind: BalancerKind, size: number, weighted: boolean) {
    this.#policy = { ...DEFAULT_CONNECTION_POLICY, balancer: { ...DEFAULT_CONNECTION_POLICY.balancer, kind } }
    this.#weighted = weighted
    this.#size = size
    this.#view = this.#viewOf(0)
    this.#state = {
      nowMs: 0,
      affinity: new AffinityTable(),
      traffic: new Traffic(),
      local: { has: () => false },
      listenerPort: 15_001,
      openConnections: 0,
      maxConnections: 50_000,
      draining: false,
    }
    for (let i = 0; i < size; i++) {
      const { candidates } = this.#decide()
      const [first] = candidates
      if (first !== undefined) this.#state.traffic.of(SERVICE).started(first.key, 0)
    }
  }

  /** CPU ns of one. */
  decisions(count: number): number {
    const start = process.cpuUsage()
    for (let i = 0; i < count; i++) this.#decide()
    return cpuNs(start) / count
  }

  connections(count: number): number {
    const traffic = this.#state.traffic.of(SERVICE)
    const start = process.cpuUsage()
    for (let i = 0; i < count; i++) {
      const { candidates, client, policy } = this.#decide()
      const [first] = candidates
      if (first === undefined) throw new Error('nothing was chosen')
      traffic.admit(client.ip, policy.limits, 0)
      traffic.started(first.key, 0)
      traffic.connected(first.key, 1, 0, policy)
      traffic.ended(first.key, 0)
      traffic.leave(client.ip)
    }
    return cpuNs(start) / count
  }

  /** One endpoint comes, another goes; CPU ms of the longest of the decisions that follow. */
  change(): number {
    this.#view = this.#viewOf(this.#view.generation + 1)
    this.#state.traffic.prune(this.#view, 0)
    let longest = 0
    for (let i = 0; i < 30; i++) longest = Math.max(longest, this.decisions(1))
    return longest / 1e6
  }

  #decide(): ConnectDecision {
    const client = CLIENTS[this.#client++ % CLIENTS.length] ?? DIALLED
    const flow = { client: { ip: client, port: 5_000 }, destination: { ip: DIALLED, port: 80 } }
    const decision = decide(flow, this.#view, this.#state, Math.random)
    if (decision.kind !== 'connect' || decision.candidates.length !== 6)
      throw new Error(`wrong: ${decision.kind}`)
    return decision
  }

  #viewOf(generation: number): ProxyView {
    const cluster = Array.from({ length: this.#size }, (_, i): ViewEndpoint => {
      const endpoint = { ip: address(0x0a_f5_00_00 + i + generation), port: 8080, local: false }
      return this.#weighted ? { ...endpoint, weight: 1 + (i % 10) } : endpoint
    })
    return {
      ...EMPTY,
      generation,
      services: { [SERVICE]: { key: SERVICE, cluster, local: [], policy: this.#policy } },
    }
  }
}

const DIALLED = address(0x0a_60_00_0a)
const CLIENTS = Array.from({ length: 256 }, (_, i) => address(0x0a_f4_01_00 + i))
const EMPTY: ProxyView = {
  version: 2,
  epoch: 'bench',
  generation: 0,
  node: { name: 'n', podCidrs: ['10.244.1.0/24' as Cidr], addresses: [address(0xc0_a8_00_0a)] },
  frontends: {
    [`${DIALLED}|80`]: {
      service: SERVICE,
      kind: 'ClusterIP',
      pool: { pod: 'cluster', host: 'cluster', outside: 'cluster' },
    },
  },
  services: {},
}

function cpuNs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) * 1_000
}

function address(number: number): Ip {
  const ip = parseIp([24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.'))
  if (ip === undefined) throw new Error(`${number} is no address`)
  return ip
}
