import test from 'ava'
import { kernelSettings } from '#agent/config/kernel-settings.ts'
import { defaults } from '#agent/config/load.ts'
import type { Configuration } from '#agent/config/options.ts'
import { cidr } from '#test/support/build.ts'

const CT = 'net.netfilter.nf_conntrack_'

function settings(
  change: Partial<Configuration> = {},
  cores = 2,
  semantics: 'iptables' | 'nftables' = 'iptables',
) {
  const wanted = kernelSettings({ ...defaults(), ...change }, { cores, semantics })
  return Object.fromEntries(wanted.map(({ name, value }) => [name.replace(CT, ''), value]))
}

test('the defaults are those of kube-proxy (rows 19, 71), and for steering ports and resets are given back soon', (t) => {
  t.deepEqual(settings(), {
    'net.ipv4.conf.all.route_localnet': 1,
    'net.ipv4.tcp_tw_reuse': 1,
    max: 131_072,
    tcp_timeout_established: 86_400,
    tcp_timeout_close_wait: 3_600,
    tcp_timeout_close: 1,
  })
})

const ROWS: readonly (readonly [string, Partial<Configuration>, number, string, number | undefined])[] = [
  ['the limit grows with the cores', {}, 8, 'max', 262_144],
  ['the limit is capped', {}, 128, 'max', 1_048_576],
  ['no limit per core, no limit', { conntrackMaxPerCore: 0 }, 8, 'max', undefined],
  [
    'zero leaves a timeout alone',
    { conntrackTcpCloseWaitTimeout: 0 },
    2,
    'tcp_timeout_close_wait',
    undefined,
  ],
  ['without steering resets are remembered as ever', { steer: 'never' }, 2, 'tcp_timeout_close', undefined],
  ['without steering ports are left alone', { steer: 'never' }, 2, 'net.ipv4.tcp_tw_reuse', undefined],
  ['ports can be left alone', { tcpTwReuse: false }, 2, 'net.ipv4.tcp_tw_reuse', undefined],
  ['half a second is rounded up to one', { conntrackUdpTimeout: 400 }, 2, 'udp_timeout', 1],
  ['liberal is set only if asked for', { conntrackTcpBeLiberal: true }, 2, 'tcp_be_liberal', 1],
  ['nothing of conntrack if not managed', { manageConntrack: false }, 2, 'max', undefined],
  [
    'localhost NodePorts can be off',
    { localhostNodePorts: false },
    2,
    'net.ipv4.conf.all.route_localnet',
    undefined,
  ],
  [
    'NodePorts elsewhere need no route_localnet',
    { nodePortAddresses: [cidr('10.0.0.0/8')] },
    2,
    'net.ipv4.conf.all.route_localnet',
    undefined,
  ],
  [
    'NodePorts on 127.0.0.0/8 need it',
    { nodePortAddresses: [cidr('127.0.0.0/8')] },
    2,
    'net.ipv4.conf.all.route_localnet',
    1,
  ],
  [
    'with IPv6 ranges alone IPv4 is open (row 16)',
    { nodePortAddresses: [cidr('fd00::/8')] },
    2,
    'net.ipv4.conf.all.route_localnet',
    1,
  ],
]

for (const [name, change, cores, key, value] of ROWS)
  test(name, (t) => t.is(settings(change, cores)[key], value))

test('nftables semantics never open localhost', (t) => {
  t.is(settings({}, 2, 'nftables')['net.ipv4.conf.all.route_localnet'], undefined)
})
