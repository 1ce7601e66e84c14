// Kernel settings that decide whether forwarded and steered packets arrive.

import type { NodeFacts } from './facts.ts'
import { result, type CheckResult } from './result.ts'

/** Read for {@link checkSysctls}. */
export const CHECKED_SYSCTLS = [
  'net.ipv4.ip_forward',
  'net.ipv6.conf.all.forwarding',
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.all.src_valid_mark',
  'net.ipv4.conf.all.route_localnet',
  'net.bridge.bridge-nf-call-iptables',
  'net.bridge.bridge-nf-call-ip6tables',
  'net.netfilter.nf_conntrack_count',
  'net.netfilter.nf_conntrack_max',
  'net.netfilter.nf_conntrack_acct',
] as const

/** From here on new connections will soon be dropped without a word. */
const FULL_SHARE = 0.8

export function checkSysctls({
  sysctls,
  hasBridge,
}: Pick<NodeFacts, 'sysctls' | 'hasBridge'>): readonly CheckResult[] {
  return [
    forwarding('net.ipv4.ip_forward', sysctls['net.ipv4.ip_forward']),
    forwarding('net.ipv6.conf.all.forwarding', sysctls['net.ipv6.conf.all.forwarding']),
    reversePath(sysctls['net.ipv4.conf.all.rp_filter'], sysctls['net.ipv4.conf.all.src_valid_mark']),
    ...(hasBridge
      ? ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'].map((name) =>
          bridge(name, sysctls[name]),
        )
      : []),
    conntrackFill(sysctls['net.netfilter.nf_conntrack_count'], sysctls['net.netfilter.nf_conntrack_max']),
    accounting(sysctls['net.netfilter.nf_conntrack_acct']),
  ]
}

function forwarding(name: string, value: string | undefined): CheckResult {
  if (value === undefined) return result.info(name, 'this kernel has no such family')
  return value === '0'
    ? result.warn(
        name,
        'off: packets of Pods and from outside are not forwarded to endpoints',
        `sysctl -w ${name}=1`,
      )
    : result.ok(name, 'on')
}

/** Steering works with every combination (see agent/datapath/steer/README.md); the values explain dropped packets. */
function reversePath(filter: string | undefined, validMark: string | undefined): CheckResult {
  const name = 'net.ipv4.conf.all.rp_filter'
  const mark = `src_valid_mark is ${validMark ?? 'unknown'}`
  if (filter === '1')
    return result.info(
      name,
      `strict, ${mark}: packets whose answer would leave by another interface are dropped`,
    )
  return result.ok(name, `${filter === '2' ? 'loose' : 'off'}, ${mark}`)
}

function bridge(name: string, value: string | undefined): CheckResult {
  if (value === '1') return result.ok(name, 'bridged packets pass iptables')
  return result.warn(
    name,
    value === undefined
      ? 'br_netfilter is not loaded: an answer between two Pods of one bridge is not translated back'
      : 'off: an answer between two Pods of one bridge is not translated back',
    value === undefined ? 'modprobe br_netfilter' : `sysctl -w ${name}=1`,
  )
}

function conntrackFill(count: string | undefined, max: string | undefined): CheckResult {
  const name = 'net.netfilter.nf_conntrack_max'
  if (count === undefined || max === undefined)
    return result.warn(
      name,
      'connection tracking is not active yet',
      'it starts with the first rule; check again then',
    )
  const share = Number(count) / Math.max(Number(max), 1)
  const found = `${count} of ${max} entries (${(share * 100).toFixed(0)}%)`
  return share > FULL_SHARE
    ? result.warn(name, found, 'raise it: when it is full new connections are dropped')
    : result.ok(name, found)
}

function accounting(value: string | undefined): CheckResult {
  const name = 'net.netfilter.nf_conntrack_acct'
  return value === '1'
    ? result.ok(name, 'on: `shunt connections` shows the bytes of kernel connections')
    : result.info(name, 'off: `shunt connections` cannot show the bytes of kernel connections')
}
