// The fields of KubeProxyConfiguration v1alpha1 as a table: which option each one is, or why it has no effect.
// Names and defaults: kube-proxy.md section 1.9.

import type { OptionKey } from './options.ts'

export type FieldRow =
  | { readonly kind: 'group' }
  | {
      readonly kind: 'mapped'
      readonly option: OptionKey
      /** Turns kube-proxy's spelling into ours; undefined: the default. */
      readonly translate?: (value: unknown) => unknown
    }
  | {
      readonly kind: 'ignored'
      readonly because: string
      /** True for values that ask for nothing, so that a generated file does not warn on every line. */
      readonly neutral?: (value: unknown) => boolean
    }

const GROUP: FieldRow = { kind: 'group' }
const API_SERVER = 'there is no API client in this version, objects come from the manifests folder'
const OTHER_DATAPATH = 'this datapath is not part of this version'
const OPTIONAL_ZERO = (value: unknown): boolean =>
  value === 0 || value === '0s' || value === false || isEmpty(value)

export const KUBE_PROXY_FIELDS: Readonly<Record<string, FieldRow>> = {
  mode: mapped('datapath'),
  clusterCIDR: mapped('clusterCidr'),
  hostnameOverride: mapped('nodeName', (value) =>
    typeof value === 'string' ? value.trim().toLowerCase() : value,
  ),
  detectLocalMode: mapped('detectLocalMode'),
  detectLocal: GROUP,
  'detectLocal.bridgeInterface': mapped('bridgeInterface'),
  'detectLocal.interfaceNamePrefix': mapped('interfaceNamePrefix'),
  nodePortAddresses: mapped('nodePortAddresses', (value) => (isEmpty(value) ? undefined : value)),
  metricsBindAddress: mapped('metricsAddress', bindAddress(10_249)),
  healthzBindAddress: mapped('healthzAddress', bindAddress(10_256)),
  iptables: GROUP,
  'iptables.masqueradeBit': mapped('masqueradeBit'),
  'iptables.masqueradeAll': mapped('masqueradeAll'),
  'iptables.localhostNodePorts': mapped('localhostNodePorts'),
  // kube-proxy reads 0s as "take the default", and kubeadm writes it.
  'iptables.syncPeriod': mapped('syncPeriod', (value) => (value === '0s' ? undefined : value)),
  'iptables.minSyncPeriod': mapped('minSyncPeriod', (value) => (value === '0s' ? undefined : value)),
  conntrack: GROUP,
  'conntrack.maxPerCore': mapped('conntrackMaxPerCore'),
  'conntrack.min': mapped('conntrackMin'),
  'conntrack.tcpEstablishedTimeout': mapped('conntrackTcpEstablishedTimeout'),
  'conntrack.tcpCloseWaitTimeout': mapped('conntrackTcpCloseWaitTimeout'),
  'conntrack.tcpBeLiberal': mapped('conntrackTcpBeLiberal'),
  'conntrack.udpTimeout': mapped('conntrackUdpTimeout'),
  'conntrack.udpStreamTimeout': mapped('conntrackUdpStreamTimeout'),

  bindAddress: ignored('addresses are chosen by family and by healthzBindAddress', (value) =>
    ['0.0.0.0', '::'].includes(String(value)),
  ),
  bindAddressHardFail: ignored('a taken address is retried', OPTIONAL_ZERO),
  enableProfiling: ignored('there is no profiling endpoint', OPTIONAL_ZERO),
  showHiddenMetricsForVersion: ignored('no metric is hidden'),
  configSyncPeriod: ignored(API_SERVER, OPTIONAL_ZERO),
  oomScoreAdj: ignored('set it in the service or Pod of the agent'),
  portRange: ignored('node ports are not chosen here'),
  udpIdleTimeout: ignored('UDP is balanced by the kernel', OPTIONAL_ZERO),
  featureGates: ignored('Shunt has no feature gates', isEmpty),
  windowsRunAsService: ignored('this is for Windows', OPTIONAL_ZERO),
  clientConnection: GROUP,
  ...each(
    'clientConnection',
    ['kubeconfig', 'acceptContentTypes', 'contentType', 'qps', 'burst'],
    API_SERVER,
  ),
  ipvs: GROUP,
  ...each(
    'ipvs',
    [
      'syncPeriod',
      'minSyncPeriod',
      'scheduler',
      'excludeCIDRs',
      'strictARP',
      'tcpTimeout',
      'tcpFinTimeout',
      'udpTimeout',
    ],
    OTHER_DATAPATH,
  ),
  nftables: GROUP,
  ...each('nftables', ['masqueradeBit', 'masqueradeAll', 'syncPeriod', 'minSyncPeriod'], OTHER_DATAPATH),
  winkernel: GROUP,
  ...each(
    'winkernel',
    ['networkName', 'sourceVip', 'enableDSR', 'rootHnsEndpointName', 'forwardHealthCheckVip'],
    'this is for Windows',
  ),
  linux: ignored('this is of a later, internal version of the file', isEmpty),
  logging: GROUP,
  ...each(
    'logging',
    ['format', 'flushFrequency', 'verbosity', 'vmodule', 'options'],
    'see logLevel and logFormat',
    (value) => OPTIONAL_ZERO(value) || !(typeof value === 'number' && value > 0),
  ),
}

function mapped(option: OptionKey, translate?: (value: unknown) => unknown): FieldRow {
  return { kind: 'mapped', option, ...(translate === undefined ? {} : { translate }) }
}

function ignored(because: string, neutral?: (value: unknown) => boolean): FieldRow {
  return { kind: 'ignored', because, ...(neutral === undefined ? {} : { neutral }) }
}

function each(
  group: string,
  names: readonly string[],
  because: string,
  neutral: (value: unknown) => boolean = OPTIONAL_ZERO,
): Readonly<Record<string, FieldRow>> {
  return Object.fromEntries(names.map((name) => [`${group}.${name}`, ignored(because, neutral)]))
}

/** kube-proxy takes an address without a port, and reads the port's default then. */
function bindAddress(defaultPort: number): (value: unknown) => unknown {
  return (value) => {
    if (typeof value !== 'string') return value
    if (/^[0-9.]+$/.test(value)) return `${value}:${defaultPort}`
    return /^[0-9a-fA-F:]+$/.test(value) && value.split(':').length > 2 ? `[${value}]:${defaultPort}` : value
  }
}

function isEmpty(value: unknown): boolean {
  return (
    value === '' ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  )
}
