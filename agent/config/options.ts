// The one table of options. Flags, environment names, configuration file fields and docs/options.md all come from it:
// the key `runDir` is the flag `--run-dir`, the variable `SHUNT_RUN_DIR` and the field `runDir`.

import { PROXY_PORT, PROXY_UID } from '../model/steering-names.ts'
import type { Ip } from '../model/ip.ts'
import * as type from './value-types.ts'
import type { Address, ValueType } from './value-types.ts'

/** Which command an option concerns. `run` has those of agent and proxy; `cli` stands for the debugging commands. */
export type OptionCommand = 'agent' | 'proxy' | 'cli'

export interface OptionRow<T> {
  readonly type: ValueType<T>
  readonly default: T
  /** Said in documents instead of the default, where that is computed. */
  readonly defaultText?: string
  readonly doc: string
  readonly commands: readonly OptionCommand[]
  /** For tests; not documented. */
  readonly hidden?: boolean
}

const AGENT = ['agent'] as const
const PROXY = ['proxy'] as const
const BOTH = ['agent', 'proxy'] as const
const ALL = ['agent', 'proxy', 'cli'] as const

export const OPTIONS = {
  manifests: row({
    type: type.path,
    default: '',
    doc: 'Folder of YAML or JSON manifests that is the source of all objects; watched.',
    commands: AGENT,
  }),
  nodeName: row({
    type: type.text,
    default: '',
    defaultText: 'the host name, in lower case',
    doc: 'Name of the Node object of this host.',
    commands: BOTH,
  }),
  datapath: row({
    type: type.choice(['auto', 'iptables', 'ipvs', 'nftables', 'ebpf']),
    default: 'auto',
    doc: 'Kernel mechanism that carries Services; `auto` takes the first that this node can use.',
    commands: AGENT,
  }),
  iptablesVariant: row({
    type: type.choice(['auto', 'nft', 'legacy']),
    default: 'auto',
    doc: 'Which iptables to program; `auto` takes the one that already holds rules, as the distributions do.',
    commands: ['agent', 'cli'],
  }),
  runDir: row({
    type: type.path,
    default: '',
    defaultText: '/run/shunt, /var/lib/shunt and /sys/fs/bpf/shunt',
    doc: 'Folder for sockets, state and pins, in place of the system-wide ones; several agents need one each.',
    commands: ALL,
  }),
  steer: row({
    type: type.choice(['auto', 'always', 'never']),
    default: 'auto',
    doc: 'Which Services go through the proxy: `auto` those that an L7 object or an annotation selects.',
    commands: AGENT,
  }),
  steeringMechanism: row({
    type: type.choice(['auto', 'sk_lookup', 'dnat', 'off']),
    default: 'auto',
    doc: 'How the kernel hands connections to the proxy; `auto` probes, proves by a connection, and falls back.',
    commands: AGENT,
  }),
  detectLocalMode: row({
    type: type.choice(['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix', 'none']),
    default: 'ClusterCIDR',
    doc: "How a Pod's packets are told from others. ClusterCIDR without clusterCidr means none.",
    commands: AGENT,
  }),
  clusterCidr: row({
    type: type.cidrs,
    default: [],
    doc: 'Ranges of the Pods of the cluster, at most one of each family.',
    commands: AGENT,
  }),
  bridgeInterface: row({
    type: type.text,
    default: '',
    doc: 'Name of the bridge of the Pods, with detectLocalMode BridgeInterface.',
    commands: AGENT,
  }),
  interfaceNamePrefix: row({
    type: type.text,
    default: '',
    doc: 'How the names of Pod interfaces begin, with detectLocalMode InterfaceNamePrefix.',
    commands: AGENT,
  }),
  nodePortAddresses: row({
    type: type.nodePortAddresses,
    default: [],
    defaultText: 'every local address (iptables, IPVS) or `primary` (others)',
    doc: 'Addresses of the node on which NodePorts answer: `primary`, or ranges.',
    commands: AGENT,
  }),
  localhostNodePorts: row({
    type: type.flag,
    default: true,
    doc: 'NodePorts answer on 127.0.0.1 too (iptables, IPv4).',
    commands: AGENT,
  }),
  masqueradeAll: row({
    type: type.flag,
    default: false,
    doc: 'Masquerade everything that goes to a ClusterIP.',
    commands: AGENT,
  }),
  masqueradeBit: row({
    type: type.integer(0, 31),
    default: 14,
    doc: 'Bit of the packet mark that asks for masquerading.',
    commands: AGENT,
  }),
  syncPeriod: row({
    type: type.duration({ minMs: 100 }),
    default: 30_000,
    doc: 'How often the kernel is compared with the plan and repaired; also the longest wait before a retry.',
    commands: AGENT,
  }),
  minSyncPeriod: row({
    type: type.duration({ minMs: 0 }),
    default: 200,
    doc: 'Least time from the end of one sync to the start of the next.',
    commands: AGENT,
  }),
  manageConntrack: row({
    type: type.flag,
    default: true,
    doc: 'Set the connection tracking limits and timeouts below; otherwise leave the kernel as it is.',
    commands: AGENT,
  }),
  conntrackMaxPerCore: row({
    type: type.integer(0, 100_000_000),
    default: 32_768,
    doc: 'Connection tracking entries per core; 0 leaves the limit as it is.',
    commands: AGENT,
  }),
  conntrackMin: row({
    type: type.integer(0, 100_000_000),
    default: 131_072,
    doc: 'Least number of connection tracking entries.',
    commands: AGENT,
  }),
  conntrackTcpEstablishedTimeout: row({
    type: type.duration({ minMs: 0 }),
    default: 86_400_000,
    doc: 'How long an idle TCP connection is tracked; 0 leaves it as it is.',
    commands: AGENT,
  }),
  conntrackTcpCloseWaitTimeout: row({
    type: type.duration({ minMs: 0 }),
    default: 3_600_000,
    doc: 'How long a half-closed TCP connection is tracked; 0 leaves it as it is.',
    commands: AGENT,
  }),
  conntrackTcpCloseTimeout: row({
    type: type.duration({ minMs: 0 }),
    default: 1_000,
    doc:
      'How long a reset TCP connection is tracked, unless steering is `never`; 0 leaves it as it is. While it is, a ' +
      'client that takes the same port again is treated as the old connection: refused, if its proxy died.',
    commands: AGENT,
  }),
  tcpTwReuse: row({
    type: type.flag,
    default: true,
    doc:
      'Let new connections of the node take ports in TIME_WAIT after a second (net.ipv4.tcp_tw_reuse=1), unless ' +
      'steering is `never`. The proxy opens one to an endpoint for each steered connection.',
    commands: AGENT,
  }),
  conntrackTcpBeLiberal: row({
    type: type.flag,
    default: false,
    doc: 'Accept TCP packets outside the window.',
    commands: AGENT,
  }),
  conntrackUdpTimeout: row({
    type: type.duration({ minMs: 0 }),
    default: 0,
    doc: 'How long an unanswered UDP flow is tracked; 0 leaves it as it is.',
    commands: AGENT,
  }),
  conntrackUdpStreamTimeout: row({
    type: type.duration({ minMs: 0 }),
    default: 0,
    doc: 'How long an answered UDP flow is tracked; 0 leaves it as it is.',
    commands: AGENT,
  }),
  proxyPort: row({
    type: type.integer(1, 65_535),
    default: PROXY_PORT,
    doc: 'Port of the proxy for steered connections, both families.',
    commands: BOTH,
  }),
  proxyUid: row({
    type: type.integer(0, 4_294_967_294),
    default: PROXY_UID,
    doc: 'User and group that the proxy becomes; 0: it stays what it is.',
    commands: BOTH,
  }),
  proxyWorkers: row({
    type: type.integer(0, 256),
    default: 0,
    defaultText: '0: one for each CPU',
    doc: 'Threads of the proxy that accept and relay; without the native relay there is one, whatever this says.',
    commands: PROXY,
  }),
  relay: row({
    type: type.choice(['auto', 'native', 'stream']),
    default: 'auto',
    doc: 'What moves the bytes: `native` splices in the addon, `stream` copies in JavaScript; `auto` falls back.',
    commands: PROXY,
  }),
  addon: row({
    type: type.text,
    default: '',
    defaultText: 'the one that the set-up built',
    doc:
      'The native addon, a file; `none` goes without: connections are steered by DNAT alone and copied in JavaScript, ' +
      'with the programs ip, ipset and conntrack in its place.',
    commands: BOTH,
  }),
  handover: row({
    type: type.choice(['auto', 'never']),
    default: 'auto',
    doc:
      'What a proxy does that finds another one running in its folder: `auto` takes its sockets over, so that no ' +
      'connection is lost; `never` refuses to start.',
    commands: PROXY,
  }),
  handoverDrain: row({
    type: type.duration({ minMs: 0 }),
    default: 600_000,
    doc:
      'How long a proxy that handed over relays the connections that it still has, before it resets them; 0: as long ' +
      'as they last.',
    commands: PROXY,
  }),
  proxyMetricsAddress: row({
    type: type.address,
    default: at('127.0.0.1', 15_020),
    doc: "Where the proxy's metrics are served.",
    commands: PROXY,
  }),
  endpointMetrics: row({
    type: type.integer(0, 10_000),
    default: 0,
    doc:
      'Count connection attempts by endpoint, for at most so many endpoints at a time; the rest counts as `other`. 0: ' +
      'none, because Pods get new addresses all the time, and each is a new series for as long as Prometheus keeps data; ' +
      '`shunt endpoints` shows the present state of all.',
    commands: PROXY,
  }),
  accessLog: row({
    type: type.linesPlace,
    default: { kind: 'off' },
    doc:
      'Where a line is written for each steered connection that ended: `off`, `stdout`, `stderr` or a file. JSON, or ' +
      'plain text at a terminal. Off, because a node may have thousands a second, and what is refused or fails is logged ' +
      'anyway. A file is opened once, as root, and appended to: rotate it with copytruncate.',
    commands: PROXY,
  }),
  metricsAddress: row({
    type: type.address,
    default: at('127.0.0.1', 10_249),
    doc: 'Where /metrics, /proxyMode and /healthz are served.',
    commands: AGENT,
  }),
  healthzAddress: row({
    type: type.address,
    default: at('0.0.0.0', 10_256),
    doc: 'Where /healthz and /livez are served to load balancers.',
    commands: AGENT,
  }),
  logLevel: row({
    type: type.choice(['debug', 'info', 'warn', 'error']),
    default: 'info',
    doc: 'The least important lines that are logged.',
    commands: BOTH,
  }),
  logFormat: row({
    type: type.choice(['json', 'pretty', 'auto']),
    default: 'auto',
    doc: 'Form of the log; `auto` is pretty at a terminal and JSON elsewhere.',
    commands: BOTH,
  }),
  fault: row({
    type: type.text,
    default: '',
    doc: 'End the process with SIGKILL at a step of the sync; see config/fault.ts.',
    commands: AGENT,
    hidden: true,
  }),
} as const

export type OptionKey = keyof typeof OPTIONS

/** One value for each row: what the program runs with. */
export type Configuration = {
  readonly [K in OptionKey]: (typeof OPTIONS)[K] extends OptionRow<infer T> ? T : never
}

export const OPTION_KEYS = Object.keys(OPTIONS) as OptionKey[]

/** The row without its own type, for code that walks the table. */
export function optionRow(key: OptionKey): OptionRow<unknown> {
  return OPTIONS[key]
}

/** `--run-dir` of `runDir`. */
export function flagOf(key: OptionKey): string {
  return `--${words(key).join('-')}`
}

/** `SHUNT_RUN_DIR` of `runDir`. */
export function environmentOf(key: OptionKey): string {
  return `SHUNT_${words(key).join('_').toUpperCase()}`
}

function words(key: string): string[] {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).split(' ')
}

function row<const T>(given: OptionRow<T>): OptionRow<T> {
  return given
}

function at(host: string, port: number): Address {
  return { host: host as Ip, port }
}
