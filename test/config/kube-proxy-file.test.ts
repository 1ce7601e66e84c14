import test from 'ava'
import { decodeFile, defaults } from '#agent/config/load.ts'
import { parseYaml } from '#agent/config/yaml-file.ts'
import { formatProblem } from '#agent/model/errors.ts'

const HEAD = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n'

/** What kubeadm writes into the ConfigMap of a cluster with a Pod range. */
const KUBEADM = `${HEAD}bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: ""
  qps: 0
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: ""
mode: ""
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: ""
  rootHnsEndpointName: ""
  sourceVip: ""
`

function decode(text: string) {
  const { values, problems } = decodeFile(parseYaml('kp.yaml', text))
  return { values, problems: problems.map((each) => `${each.severity} ${formatProblem(each)}`) }
}

test('the file of kubeadm is taken as it stands, without a warning', (t) => {
  const { values, problems } = decode(KUBEADM)
  t.deepEqual(problems, [])
  t.like(
    { ...defaults(), ...values },
    {
      masqueradeBit: 14,
      masqueradeAll: false,
      syncPeriod: 30_000,
      conntrackTcpBeLiberal: false,
      detectLocalMode: 'ClusterCIDR',
    },
  )
  t.deepEqual(values.clusterCidr as readonly string[], ['10.244.0.0/16'])
})

test('each field that has a meaning becomes its option', (t) => {
  const { values, problems } = decode(`${HEAD}mode: iptables
clusterCIDR: 10.244.0.0/16,fd00:10::/56
hostnameOverride: " Node-7 "
detectLocalMode: BridgeInterface
detectLocal: {bridgeInterface: cni0, interfaceNamePrefix: veth}
nodePortAddresses: [192.168.0.0/16]
metricsBindAddress: 0.0.0.0
healthzBindAddress: "[::]:10300"
iptables: {masqueradeBit: 15, masqueradeAll: true, localhostNodePorts: false, syncPeriod: 1m, minSyncPeriod: 2s}
conntrack: {maxPerCore: 0, min: 5, tcpEstablishedTimeout: 24h0m0s, tcpCloseWaitTimeout: 1h, tcpBeLiberal: true, udpTimeout: 5s, udpStreamTimeout: 6s}
`)
  t.deepEqual(problems, [])
  t.deepEqual(values as unknown, {
    datapath: 'iptables',
    clusterCidr: ['10.244.0.0/16', 'fd00:10::/56'],
    nodeName: 'node-7',
    detectLocalMode: 'BridgeInterface',
    bridgeInterface: 'cni0',
    interfaceNamePrefix: 'veth',
    nodePortAddresses: ['192.168.0.0/16'],
    metricsAddress: { host: '0.0.0.0', port: 10_249 },
    healthzAddress: { host: '::', port: 10_300 },
    masqueradeBit: 15,
    masqueradeAll: true,
    localhostNodePorts: false,
    syncPeriod: 60_000,
    minSyncPeriod: 2_000,
    conntrackMaxPerCore: 0,
    conntrackMin: 5,
    conntrackTcpEstablishedTimeout: 86_400_000,
    conntrackTcpCloseWaitTimeout: 3_600_000,
    conntrackTcpBeLiberal: true,
    conntrackUdpTimeout: 5_000,
    conntrackUdpStreamTimeout: 6_000,
  })
})

const PROBLEMS: readonly (readonly [string, string])[] = [
  ['colour: red', 'error kp.yaml:3: colour: unknown field of KubeProxyConfiguration'],
  [
    'clusterCidr: 10.0.0.0/8',
    'error kp.yaml:3: clusterCidr: unknown field of KubeProxyConfiguration; did you mean "clusterCIDR"?',
  ],
  [
    'iptables:\n  masqeradeAll: true',
    'error kp.yaml:4: iptables.masqeradeAll: unknown field of KubeProxyConfiguration; did you mean "masqueradeAll"?',
  ],
  ['iptables: 5', 'error kp.yaml:3: iptables: expected a map of fields'],
  ['mode: userspace', 'error kp.yaml:3: mode: expected one of auto, iptables, ipvs, nftables, ebpf'],
  ['iptables:\n  syncPeriod: 30', 'error kp.yaml:4: iptables.syncPeriod: expected text'],
  [
    'clientConnection:\n  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf',
    'warning kp.yaml:4: clientConnection.kubeconfig: not acted on: there is no API client in this version, objects come from the manifests folder',
  ],
  [
    'featureGates: {TopologyAwareHints: true}',
    'warning kp.yaml:3: featureGates: not acted on: Shunt has no feature gates',
  ],
  [
    'ipvs:\n  strictARP: true',
    'warning kp.yaml:4: ipvs.strictARP: not acted on: this datapath is not part of this version',
  ],
]

for (const [lines, expected] of PROBLEMS)
  test(`${lines.replaceAll('\n', ' ')} gives: ${expected.slice(0, 60)}`, (t) => {
    t.deepEqual(decode(`${HEAD}${lines}\n`).problems, [expected])
  })
