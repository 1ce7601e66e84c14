import test from 'ava'
import { parseSave } from '#agent/datapath/iptables/parse.ts'
import { walk, type WalkWorld } from '#agent/datapath/iptables/walk.ts'
import { walkTables } from '#agent/datapath/iptables/walk-tables.ts'
import type { Packet } from '#agent/plan/packet.ts'
import { ip } from '#test/support/build.ts'

/** As iptables-save prints the rules of the minikube tutorial with two endpoints, from a Local NodePort on. */
const SAVED = `
*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:SHUNT-STEER - [0:0]
-A PREROUTING -m comment --comment "steering to the proxy" -j SHUNT-STEER
-A OUTPUT -m comment --comment "steering to the proxy" -j SHUNT-STEER
-A SHUNT-STEER -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW ! --ctstatus CONFIRMED -m mark ! --mark 0x531000/0xff3000 -m set --match-set SHUNT-LIVE dst,dst -j MARK --set-xmark 0x532000/0xff3000
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-BBBBBBBBBBBBBBBB - [0:0]
:KUBE-SEP-CCCCCCCCCCCCCCCC - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -m mark --mark 0x532000/0xff2000 -j RETURN
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
-A KUBE-SERVICES -m comment --comment "nodeports; this must be last" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-AAAAAAAAAAAAAAAA -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-BBBBBBBBBBBBBBBB
-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-CCCCCCCCCCCCCCCC
-A KUBE-SEP-AAAAAAAAAAAAAAAA -s 10.244.0.1/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m recent --set --name KUBE-SEP-AAAAAAAAAAAAAAAA --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.0.1:8080
-A KUBE-SEP-BBBBBBBBBBBBBBBB -s 10.244.0.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:8080
-A KUBE-SEP-CCCCCCCCCCCCCCCC -p tcp -m tcp -j DNAT --to-destination 10.244.0.3:8080
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.11/32 -p tcp -m comment --comment "default/empty has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 30081 -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
`.trim()

const TABLES = walkTables(parseSave(SAVED))

const WORLD: WalkWorld = {
  localAddresses: new Set([ip('192.168.0.1'), ip('127.0.0.1')]),
  inSet: () => false,
  isRecent: () => false,
  hasListener: () => false,
  deliversMark: () => false,
}

function packet(source: string, destination: string, port: number, more: Partial<Packet> = {}): Packet {
  return {
    source: ip(source),
    destination: ip(destination),
    port,
    protocol: 'TCP',
    inInterface: 'veth0',
    ...more,
  }
}

/** `33.3% 10.244.0.1:8080 masqueraded`, one for each fate. */
function fates(asked: Packet, world: Partial<WalkWorld> = {}): readonly string[] {
  return walk(TABLES, asked, { ...WORLD, ...world }).fates.map((fate) => {
    const end = fate.end === 'delivered' ? `${fate.destination.ip}:${fate.destination.port}` : fate.end
    return `${(fate.probability * 100).toFixed(1)}% ${end}${fate.masqueraded ? ' masqueraded' : ''}`
  })
}

const CASES: readonly (readonly [string, Packet, readonly string[]])[] = [
  [
    'a Pod to the ClusterIP: a third each, its own source',
    packet('10.244.0.9', '10.96.0.10', 80),
    ['33.3% 10.244.0.1:8080', '33.3% 10.244.0.2:8080', '33.3% 10.244.0.3:8080'],
  ],
  [
    'a Pod that is an endpoint: masqueraded to itself alone',
    packet('10.244.0.1', '10.96.0.10', 80),
    ['33.3% 10.244.0.1:8080 masqueraded', '33.3% 10.244.0.2:8080', '33.3% 10.244.0.3:8080'],
  ],
  [
    'the node to the ClusterIP: masqueraded',
    packet('192.168.0.1', '10.96.0.10', 80, { inInterface: '' }),
    [
      '33.3% 10.244.0.1:8080 masqueraded',
      '33.3% 10.244.0.2:8080 masqueraded',
      '33.3% 10.244.0.3:8080 masqueraded',
    ],
  ],
  [
    'outside to a NodePort',
    packet('203.0.113.7', '192.168.0.1', 30080),
    [
      '33.3% 10.244.0.1:8080 masqueraded',
      '33.3% 10.244.0.2:8080 masqueraded',
      '33.3% 10.244.0.3:8080 masqueraded',
    ],
  ],
  [
    'a NodePort of another node is nobody here',
    packet('203.0.113.7', '192.168.0.2', 30080),
    ['100.0% 192.168.0.2:30080'],
  ],
  [
    '127.0.0.2 is local too',
    packet('127.0.0.1', '127.0.0.2', 30081, { inInterface: '' }),
    ['100.0% dropped'],
  ],
  [
    'another port of the ClusterIP is left alone',
    packet('10.244.0.9', '10.96.0.10', 81),
    ['100.0% 10.96.0.10:81'],
  ],
  [
    'another protocol too',
    packet('10.244.0.9', '10.96.0.10', 80, { protocol: 'UDP' }),
    ['100.0% 10.96.0.10:80'],
  ],
  ['no endpoints: rejected when forwarded', packet('10.244.0.9', '10.96.0.11', 80), ['100.0% rejected']],
  [
    'and when the node sends it',
    packet('192.168.0.1', '10.96.0.11', 80, { inInterface: '' }),
    ['100.0% rejected'],
  ],
  [
    'Local without an endpoint here: dropped',
    packet('203.0.113.7', '192.168.0.1', 30081),
    ['100.0% dropped'],
  ],
]

for (const [what, asked, expected] of CASES)
  test(what, (t) => {
    t.deepEqual(fates(asked), expected)
    t.deepEqual(walk(TABLES, asked, WORLD).notes, [])
  })

test('a client that affinity remembers has one way only', (t) => {
  const isRecent = (list: string): boolean => list === 'KUBE-SEP-AAAAAAAAAAAAAAAA'
  t.deepEqual(fates(packet('10.244.0.9', '10.96.0.10', 80), { isRecent }), ['100.0% 10.244.0.1:8080'])
})

test('an address in a live set is marked, skips the NAT of Services and is delivered on the node', (t) => {
  const { fates: ways } = walk(TABLES, packet('10.244.0.9', '10.96.0.10', 80), {
    ...WORLD,
    inSet: (name, { port }) => name === 'SHUNT-LIVE' && port === 80,
    deliversMark: (mark) => mark === 0x532000,
  })
  t.is(ways.length, 1)
  t.is(ways[0]?.mark, 0x532000)
  t.false(ways[0]?.translated)
  t.deepEqual(
    ways[0]?.hops.map((hop) => `${hop.table} ${hop.chain} ${hop.rule}/${hop.of} ${hop.leads}`),
    [
      'mangle PREROUTING 1/1 SHUNT-STEER',
      'mangle SHUNT-STEER 1/1 MARK',
      'nat PREROUTING 1/1 KUBE-SERVICES',
      'nat KUBE-SERVICES 1/3 RETURN',
      'filter INPUT 1/1 KUBE-EXTERNAL-SERVICES',
    ],
  )
})

test('the hops of a fate are the rules that led there', (t) => {
  const [, second] = walk(TABLES, packet('10.244.0.9', '10.96.0.10', 80), WORLD).fates
  t.deepEqual(
    second?.hops
      .filter((hop) => hop.table === 'nat')
      .map((hop) => `${hop.chain} ${hop.rule}/${hop.of} ${hop.leads}`),
    [
      'PREROUTING 1/1 KUBE-SERVICES',
      'KUBE-SERVICES 2/3 KUBE-SVC-AAAAAAAAAAAAAAAA',
      'KUBE-SVC-AAAAAAAAAAAAAAAA 4/5 KUBE-SEP-BBBBBBBBBBBBBBBB',
      'KUBE-SEP-BBBBBBBBBBBBBBBB 2/2 DNAT',
      'POSTROUTING 1/1 KUBE-POSTROUTING',
      'KUBE-POSTROUTING 1/3 RETURN',
    ],
  )
})

test('what cannot be judged is a note and does not match', (t) => {
  const tables = {
    ...TABLES,
    nat: new Map([
      [
        'PREROUTING',
        ['-m geoip --source-country XX -j KUBE-SERVICES', '-j ELSEWHERE', '-p tcp -j NETMAP --to 10.0.0.0/8'],
      ],
    ]),
  }
  const { fates: ways, notes } = walk(tables, packet('10.244.0.9', '10.96.0.10', 80), WORLD)
  t.deepEqual(
    ways.map((fate) => fate.translated),
    [false],
  )
  t.deepEqual(notes, [
    'nat PREROUTING rule 1/3: test not understood: geoip --source-country XX',
    'nat PREROUTING rule 2/3: chain ELSEWHERE is not known and was passed over',
    'nat PREROUTING rule 3/3: chain NETMAP is not known and was passed over',
  ])
})

test('a jump in a circle ends', (t) => {
  const tables = {
    ...TABLES,
    nat: new Map([
      ['PREROUTING', ['-j LOOP']],
      ['LOOP', ['-j LOOP']],
    ]),
  }
  const { fates: ways, notes } = walk(tables, packet('10.244.0.9', '10.96.0.10', 80), WORLD)
  t.is(ways.length, 1)
  t.is(notes.length, 1)
})
