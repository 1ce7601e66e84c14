// The relay's section of docs/benchmarks.md, and its bars.

import { quieten } from '../quiet.ts'
import { installPeers } from './install.ts'
import { formatSpread } from '../machine.ts'
import { compareRelays, PEERS, ratioOf, spreadOver, type RelayFigures } from './compare.ts'
import { WARM_UP_CONNECTIONS, type Visit } from './measure.ts'
import { PEER_TITLES, type PeerName } from './peers.ts'
import type { Bar, Section } from '../section.ts'
import { table } from '../section.ts'

const ROUNDS = 5

/** @param rounds undefined: as many as the published page has */
export async function relaySection(rounds: number = ROUNDS): Promise<Section> {
  installPeers()
  const quiet = quieten()
  const figures = await compareRelays(rounds).finally(quiet.end)
  return {
    text: [intro(figures, quiet.missing), cpuTable(figures), speedTable(figures), memoryTable(figures)].join(
      '\n\n',
    ),
    bars: bars(figures),
  }
}

interface Column {
  readonly title: string
  readonly digits: number
  readonly read: (visit: Visit) => number
}

const CPU_COLUMNS: readonly Column[] = [
  { title: 'bulk, 1 stream: s/GB', digits: 2, read: (v) => v.bulk[1].cpuSecondsPerGb },
  { title: 'bulk, 8: s/GB', digits: 2, read: (v) => v.bulk[8].cpuSecondsPerGb },
  { title: 'ping-pong, 1: µs', digits: 1, read: (v) => v.pingPong[1].cpuUs },
  { title: 'ping-pong, 64: µs', digits: 1, read: (v) => v.pingPong[64].cpuUs },
  { title: 'connection: µs', digits: 0, read: (v) => v.connections.cpuUs },
]

const SPEED_COLUMNS: readonly Column[] = [
  { title: 'bulk, 1: GB/s', digits: 2, read: (v) => v.bulk[1].gbPerSecond },
  { title: 'bulk, 8: GB/s', digits: 2, read: (v) => v.bulk[8].gbPerSecond },
  { title: 'ping-pong, 64: 1000/s', digits: 1, read: (v) => v.pingPong[64].perSecond / 1000 },
  { title: 'connections/s', digits: 0, read: (v) => v.connections.perSecond },
  { title: '20% load p50 µs', digits: 0, read: (v) => v.loadedUs?.p50 ?? Number.NaN },
  { title: '20% load p99 µs', digits: 0, read: (v) => v.loadedUs?.p99 ?? Number.NaN },
]

function intro(figures: RelayFigures, missing: readonly string[]): string {
  const rounds = figures.visits.get('direct')?.length ?? 0
  return `## The relay

A pod to an endpoint on its node, ${rounds} rounds, in each every peer once in a lab of its own, with the agent's rules in the node's kernel; median (min-max). Every byte is compared at both ends. Ping-pong: 64 bytes and back. Connection: connect, 64 bytes and back, close, 16 at a time, TypeScript's decision included. 20% load: ${figures.ratePerSecond} round trips a second over 16 connections, a fifth of what HAProxy does with 64; a time counts from when the message was due. HAProxy 2.6 and nginx 1.22 stream have their defaults and one thread each; HAProxy once with \`option splice-auto\`, the setting that its manual advises and that the bars are held against, and once with \`splice-request\` and \`splice-response\` besides. Before anything is measured, ${WARM_UP_CONNECTIONS} connections go through each. Nothing is pinned: clients, endpoints and proxies share the machine, so read rates as ratios to \`direct\`. Idle-class spinners keep the CPUs of the virtual machine from halting.${missing.map((one) => ` Beware: ${one}.`).join('')}`
}

function cpuTable(figures: RelayFigures): string {
  const peers = PEERS.filter((name) => name !== 'direct')
  return `CPU of the proxy process, all its threads:\n\n${columns(figures, peers, CPU_COLUMNS)}`
}

function speedTable(figures: RelayFigures): string {
  return `Rates and times as the client sees them:\n\n${columns(figures, PEERS, SPEED_COLUMNS)}`
}

function columns(figures: RelayFigures, peers: readonly PeerName[], wanted: readonly Column[]): string {
  const rows = peers.map((name) => [
    PEER_TITLES[name],
    ...wanted.map(({ read, digits }) => formatSpread(spreadOver(figures, name, read), digits)),
  ])
  return table(['', ...wanted.map(({ title }) => title)], rows)
}

function memoryTable(figures: RelayFigures): string {
  const rows = [...figures.memory].map(([name, memory]) => [
    PEER_TITLES[name],
    memory.idleMib.toFixed(0),
    memory.perConnectionKib.toFixed(1),
    String(memory.connections),
  ])
  return `Resident memory of the proxy process; what the kernel holds for the sockets is the same for all and not in it. As many connections as 20,000 descriptors allow a proxy:\n\n${table(['', 'idle: MiB', 'each idle relayed connection: KiB', 'connections held'], rows)}`
}

function bars(figures: RelayFigures): readonly Bar[] {
  const beside = (what: string, peer: PeerName, atMost: number, read: Column['read']): Bar => ({
    what: `${what}, × ${peer === 'haproxy' ? 'HAProxy' : "Node's sockets"}`,
    measured: ratioOf(figures, 'shunt', peer, read),
    atMost,
    unit: '×',
    digits: 2,
  })
  const added = (percentile: 'p50' | 'p99'): Bar => ({
    what: `added latency at 20% load, ${percentile} (the bar: HAProxy's + 10%)`,
    measured: addedUs(figures, 'shunt', percentile),
    atMost: Math.round(1.1 * addedUs(figures, 'haproxy', percentile)),
    unit: 'µs',
    digits: 0,
  })
  const own = figures.memory.get('shunt')
  return [
    beside('bulk, 1 stream, CPU per GB', 'haproxy', 0.55, (v) => v.bulk[1].cpuSecondsPerGb),
    beside('bulk, 8 streams, CPU per GB', 'haproxy', 1, (v) => v.bulk[8].cpuSecondsPerGb),
    beside('ping-pong, 1 connection, CPU per round trip', 'haproxy', 1, (v) => v.pingPong[1].cpuUs),
    beside('ping-pong, 64 connections, CPU per round trip', 'haproxy', 1, (v) => v.pingPong[64].cpuUs),
    beside('CPU per new connection', 'haproxy', 1.15, (v) => v.connections.cpuUs),
    beside('CPU per new connection', 'shunt-stream', 0.45, (v) => v.connections.cpuUs),
    added('p50'),
    added('p99'),
    { what: 'RSS of an idle proxy', measured: own?.idleMib ?? Number.NaN, atMost: 90, unit: 'MiB' },
    {
      what: 'memory of an idle relayed connection',
      measured: own?.perConnectionKib ?? Number.NaN,
      atMost: 3,
      unit: 'KiB',
    },
  ]
}

/** Median over the rounds of what it adds to the direct path of its round. */
function addedUs(figures: RelayFigures, name: PeerName, percentile: 'p50' | 'p99'): number {
  const read = (visit: Visit | undefined): number => visit?.loadedUs?.[percentile] ?? Number.NaN
  const direct = figures.visits.get('direct') ?? []
  return spreadOver(figures, name, (visit, round) => read(visit) - read(direct[round])).median
}
