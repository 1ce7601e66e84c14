// The rules of agent/datapath/steer/README.md written by hand, with one ClusterIP and one NodePort, so that these
// tests do not depend on any datapath's renderer. The proxy's own addresses are given for the DNAT mechanism only.

import type { Lab } from '../../support/lab/lab.ts'

export type Variant = 'nft' | 'legacy'

export const VIP = { IPv4: '10.96.0.10', IPv6: 'fd96::10' } as const
export const NODE_PORT = 30080

export interface Addresses {
  readonly IPv4: string
  readonly IPv6: string
}

const SETS = `create SHUNT-STEER-4 hash:ip,port family inet
create SHUNT-STEER-6 hash:ip,port family inet6
create SHUNT-STEER-NP bitmap:port range 0-65535
create SHUNT-LIVE list:set timeout 1
create SHUNT-LIVE-NP list:set timeout 1
add SHUNT-STEER-4 ${VIP.IPv4},tcp:80
add SHUNT-STEER-6 ${VIP.IPv6},tcp:80
add SHUNT-STEER-4 169.254.53.90,tcp:15009
add SHUNT-STEER-6 fd53:4855:4e54::1,tcp:15009
add SHUNT-STEER-NP ${NODE_PORT}
`

/** `endpoint`: where the kernel itself sends the frontends, an address of each family, port 8080. */
export async function installRules(
  lab: Lab,
  node: string,
  variant: Variant,
  endpoint: Addresses,
  proxy?: Addresses,
): Promise<void> {
  await lab.exec(node, ['/usr/sbin/ipset', 'restore'], { input: SETS })
  for (const [program, vip, target, dnat] of [
    ['iptables', VIP.IPv4, endpoint.IPv4, proxy && `${proxy.IPv4}:15001`],
    ['ip6tables', VIP.IPv6, `[${endpoint.IPv6}]`, proxy && `[${proxy.IPv6}]:15001`],
  ] as const) {
    await lab.exec(node, [`/usr/sbin/${program}-${variant}-restore`, '--noflush'], {
      input: rules(program, vip, `${target}:8080`, dnat),
    })
  }
}

function rules(
  program: 'iptables' | 'ip6tables',
  vip: string,
  endpoint: string,
  proxy: string | undefined,
): string {
  const steered = '--mark 0x532000/0xff2000'
  const first =
    '-p tcp --syn -m conntrack --ctstate NEW ! --ctstatus CONFIRMED -m mark ! --mark 0x531000/0xff3000'
  const listener = proxy === undefined ? '-m socket --transparent --nowildcard' : ''
  const withSocket = `-A SHUNT-INPUT -p tcp ${listener} -j ACCEPT
-A SHUNT-INPUT -p tcp -j REJECT --reject-with tcp-reset`
  const chain = (name: string, take: string, mark: string, match: string): string => `
-A ${name} -m connmark --mark 0x532000/0xff3000 -m conntrack --ctdir ORIGINAL -j MARK --set-xmark ${mark}/0xff3000
-A ${name} -m mark ${steered} -j RETURN
-A ${name} ${first} -m set --match-set SHUNT-LIVE dst,dst ${match} -j ${take}
-A ${name} ${first} -m addrtype --dst-type LOCAL -m set --match-set SHUNT-LIVE-NP dst ${match} -j ${take}
-A ${take} -j CONNMARK --set-xmark 0x532000/0xff3000
-A ${take} -j MARK --set-xmark ${mark}/0xff3000`
  const selfTest = program === 'iptables' ? '169.254.53.90/32' : 'fd53:4855:4e54::1/128'
  return `*mangle
:SHUNT-STEER - [0:0]
:SHUNT-TAKE - [0:0]
:SHUNT-STEER-OUT - [0:0]
:SHUNT-TAKE-OUT - [0:0]
-A PREROUTING -j SHUNT-STEER
-A OUTPUT -j SHUNT-STEER-OUT
${chain('SHUNT-STEER', 'SHUNT-TAKE', '0x532000', listener)}
${chain('SHUNT-STEER-OUT', 'SHUNT-TAKE-OUT', '0x533000', '')}
COMMIT
*nat
:KUBE-SERVICES - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
-A KUBE-SERVICES -p tcp -m mark ${steered} -j ${proxy === undefined ? 'RETURN' : `DNAT --to-destination ${proxy}`}
-A KUBE-SERVICES -d ${vip} -p tcp --dport 80 -j DNAT --to-destination ${endpoint}
-A KUBE-SERVICES -d ${vip} -p tcp --dport 81 -j DNAT --to-destination ${endpoint}
-A KUBE-SERVICES -p tcp --dport ${NODE_PORT} -m addrtype --dst-type LOCAL -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -p tcp --dport ${NODE_PORT} -m addrtype --dst-type LOCAL -j DNAT --to-destination ${endpoint}
COMMIT
*filter
:SHUNT-INPUT - [0:0]
-A INPUT -m mark ${steered} -j SHUNT-INPUT
-A INPUT -d ${selfTest} -p tcp -m mark ! ${steered} -j DROP
${proxy === undefined ? withSocket : ''}
-A SHUNT-INPUT -j ACCEPT
-A INPUT -p tcp --dport 15001 -m mark ! ${steered} -j REJECT --reject-with tcp-reset
COMMIT
`
}
