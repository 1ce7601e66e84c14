// Which kernel settings the configuration asks for (kube-proxy rows 19 and 71, and two for steering). Pure; app.ts writes
// them.

import { cidrContains } from '../model/cidr.ts'
import type { Ip } from '../model/ip.ts'
import type { Configuration } from './options.ts'

export interface KernelSetting {
  readonly name: string
  readonly value: number
  /** Never lowered: others of the node may have wanted more. */
  readonly onlyRaise: boolean
  /** False for what belongs to the host and cannot be set from a network namespace of its own. */
  readonly required: boolean
}

/** Row 71: no more than this, whatever the number of cores. */
const CONNTRACK_MAX = 1_048_576

export function kernelSettings(
  configuration: Configuration,
  host: { readonly cores: number; readonly semantics: 'iptables' | 'nftables' },
): readonly KernelSetting[] {
  const c = configuration
  const settings: KernelSetting[] = []
  const want = (name: string, value: number, onlyRaise = false): void => {
    settings.push({ name, value, onlyRaise, required: !onlyRaise })
  }
  if (c.localhostNodePorts && host.semantics === 'iptables' && answersOnLoopback(c))
    want('net.ipv4.conf.all.route_localnet', 1)
  // Where the client closes first, the proxy's side of the connection to the endpoint waits for a minute: one node could
  // open 235 a second to one endpoint, and would search long for each port near that.
  if (c.steer !== 'never' && c.tcpTwReuse) want('net.ipv4.tcp_tw_reuse', 1)
  if (!c.manageConntrack) return settings
  if (c.conntrackMaxPerCore > 0) {
    const entries = Math.min(Math.max(host.cores * c.conntrackMaxPerCore, c.conntrackMin), CONNTRACK_MAX)
    want('net.netfilter.nf_conntrack_max', entries, true)
  }
  const timeouts = [
    ['tcp_timeout_established', c.conntrackTcpEstablishedTimeout],
    ['tcp_timeout_close_wait', c.conntrackTcpCloseWaitTimeout],
    ['udp_timeout', c.conntrackUdpTimeout],
    ['udp_timeout_stream', c.conntrackUdpStreamTimeout],
  ] as const
  for (const [name, ms] of timeouts) if (ms > 0) want(`net.netfilter.nf_conntrack_${name}`, seconds(ms))
  // Conntrack keeps a connection that was reset, mark included; the kernel's ten seconds would outlast the proxy's death.
  if (c.steer !== 'never' && c.conntrackTcpCloseTimeout > 0)
    want('net.netfilter.nf_conntrack_tcp_timeout_close', seconds(c.conntrackTcpCloseTimeout))
  if (c.conntrackTcpBeLiberal) want('net.netfilter.nf_conntrack_tcp_be_liberal', 1)
  return settings
}

function seconds(ms: number): number {
  return Math.max(1, Math.round(ms / 1_000))
}

function answersOnLoopback({ nodePortAddresses }: Configuration): boolean {
  if (nodePortAddresses === 'primary') return false
  const ranges = nodePortAddresses.filter((cidr) => !cidr.includes(':'))
  return ranges.length === 0 || ranges.some((cidr) => cidrContains(cidr, '127.0.0.1' as Ip))
}
