// The tracer that other tests trust: what it walks, and that it refuses what it does not know.

import test from 'ava'

import { aPacket, ip } from '../../support/build.ts'
import { compileRules, type TraceWorld } from '../../support/trace-iptables.ts'

const WORLD: TraceWorld = {
  isLocal: (address) => ['192.168.0.10', '127.0.0.1'].includes(address),
  sets: new Map([
    ['LIVE', new Set(['FOUR', 'SIX'])],
    ['DEAD', new Set<string>()],
    ['FOUR', new Set(['10.96.0.10,tcp:80'])],
    ['PORTS', new Set(['30080'])],
  ]),
  hasListener: () => true,
  recent: new Set(['KUBE-SEP-B']),
}

function fatesOf(text: string, packet = aPacket({ from: '10.244.1.5', to: '10.96.0.10' })): string[] {
  return compileRules(text)
    .trace(packet, WORLD, { value: 0x20, mask: 0xf0 })
    .map((fate) => {
      const how = `${fate.translated ? ' translated' : ''}${fate.masqueraded ? ' masqueraded' : ''}${fate.here ? ' here' : ''}`
      return `${fate.kind} ${fate.ip}:${fate.port} ${fate.probability}${how}`
    })
}

const nat = (rules: string): string => `*nat\n:KUBE-A - [0:0]\n:KUBE-B - [0:0]\n${rules}\nCOMMIT\n`

test('draws share what is left', (t) => {
  t.deepEqual(
    fatesOf(
      nat(`-A PREROUTING -j KUBE-A
-A KUBE-A -m statistic --mode random --probability 0.25000000000 -j KUBE-B
-A KUBE-A -m statistic --mode random --probability 0.50000000000 -j RETURN
-A KUBE-A -p tcp -m tcp -j DNAT --to-destination 10.244.1.7:8080
-A KUBE-B -p tcp -m tcp -j DNAT --to-destination 10.244.1.6:8080
-A POSTROUTING -j MASQUERADE --random-fully`),
    ).toSorted(),
    [
      'delivered 10.244.1.6:8080 0.25 translated masqueraded',
      'delivered 10.244.1.7:8080 0.375 translated masqueraded',
      'delivered 10.96.0.10:80 0.375 masqueraded',
    ],
  )
})

test('a mark delivers on the node, toggling clears it', (t) => {
  const mangle = (more: string): string =>
    `*mangle\n-A PREROUTING -j MARK --set-xmark 0x20/0xf0\n${more}COMMIT\n*filter\n-A INPUT -j DROP\nCOMMIT\n`
  t.deepEqual(fatesOf(mangle('')), ['dropped 10.96.0.10:80 1 here'])
  t.deepEqual(fatesOf(mangle('-A PREROUTING -j MARK --set-xmark 0x20/0x0\n')), ['delivered 10.96.0.10:80 1'])
})

test("the node's own packet to itself passes OUTPUT, POSTROUTING and INPUT, and is confirmed when it comes back", (t) => {
  const packet = aPacket({ from: '192.168.0.10', to: '192.168.0.10' })
  const seen = (hook: string, table = 'filter'): string =>
    `*${table}\n-A ${hook} -p tcp -m conntrack --ctstate NEW -j ${table === 'filter' ? 'REJECT --reject-with tcp-reset' : 'DROP'}\nCOMMIT\n`
  for (const hook of ['OUTPUT', 'INPUT'])
    t.is(fatesOf(seen(hook), packet)[0], 'rejected 192.168.0.10:80 1 here', hook)
  t.is(fatesOf(seen('FORWARD'), packet)[0], 'delivered 192.168.0.10:80 1 here')
  t.is(fatesOf(seen('PREROUTING', 'nat'), packet)[0], 'delivered 192.168.0.10:80 1 here')
  const back = '*mangle\n-A PREROUTING -m conntrack --ctstate NEW ! --ctstatus CONFIRMED -j DROP\nCOMMIT\n'
  t.is(fatesOf(back, packet)[0], 'delivered 192.168.0.10:80 1 here')
  t.is(fatesOf(back)[0], 'dropped 10.96.0.10:80 1')
})

for (const [match, matches] of [
  ['-m set --match-set LIVE dst,dst', true],
  ['-m set --match-set DEAD dst,dst', false],
  ['-m set --match-set FOUR dst,dst', true],
  ['-m set --match-set PORTS dst', false],
  ['-s 10.244.0.0/16', true],
  ['! -s 10.244.0.0/16', false],
  ['! -d 10.96.0.10/32', false],
  ['-i veth+', true],
  ['! -i veth1', false],
  ['-m addrtype --src-type LOCAL', false],
  ['-m addrtype ! --src-type LOCAL', true],
  ['-m recent --rcheck --seconds 10 --reap --name KUBE-SEP-B --mask 255.255.255.255 --rsource', true],
  ['-m recent --rcheck --seconds 10 --reap --name KUBE-SEP-A --mask 255.255.255.255 --rsource', false],
  ['-m recent --set --name KUBE-SEP-A --mask 255.255.255.255 --rsource', true],
  ['-p tcp -m tcp --dport 80', true],
  ['-p udp -m udp --dport 80', false],
  ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', true],
  ['-m conntrack --ctstate RELATED,ESTABLISHED', false],
  ['-m conntrack --ctorigdst 10.96.0.10 --ctorigdstport 80', true],
  ['-m conntrack --ctorigdst 10.96.0.10 --ctorigdstport 81', false],
  ['-m mark --mark 0x0/0xff', true],
  ['-m connmark --mark 0x1/0xff', false],
  ['-m socket --transparent --nowildcard', true],
] as const)
  test(`${match} ${matches ? 'matches' : 'does not match'}`, (t) => {
    const [fate] = fatesOf(`*mangle\n-A PREROUTING ${match} -j DROP\nCOMMIT\n`)
    t.is(fate, `${matches ? 'dropped' : 'delivered'} 10.96.0.10:80 1`)
  })

for (const [text, why] of [
  ['-A PREROUTING -m limit --limit 5/sec -j DROP', /the match limit/],
  ['-A PREROUTING -j LOG', /the target LOG/],
  ['-A PREROUTING -p icmp -j DROP', /the protocol icmp/],
  ['-A PREROUTING -m tcp --dport 80 -j DROP', /-m tcp without -p tcp/],
  ['-A PREROUTING -p tcp -m tcp --sport 80 -j DROP', /--sport/],
  ['-A PREROUTING -m conntrack --ctstate SNAT -j DROP', /the state SNAT/],
  ['-A PREROUTING -m statistic --mode nth --every 3 -j DROP', /nth/],
  ['-A PREROUTING -j KUBE-NONE', /no chain/],
  ['-A KUBE-NONE -j DROP', /no chain/],
  ['-A PREROUTING -j DNAT --to-destination 10.0.0.1:80', /without a protocol/],
  ['-A PREROUTING -j MASQUERADE', /a rule that ends here/],
  ['-A PREROUTING -d nowhere -j DROP', /the range/],
  ['-A PREROUTING -j DROP -m mark', /words after the target/],
  ['-F PREROUTING', /the line/],
] as const)
  test(`it refuses ${text}`, (t) => {
    t.throws(() => compileRules(nat(text)), { message: why })
  })

for (const [table, rule, why] of [
  ['filter', '-A INPUT -p tcp -m tcp -j DNAT --to-destination 10.0.0.1:80', /DNAT on INPUT/],
  ['nat', '-A PREROUTING -j MASQUERADE --random-fully', /MASQUERADE in nat PREROUTING/],
  ['mangle', '-A PREROUTING -j REJECT --reject-with icmp-port-unreachable', /REJECT in mangle/],
  ['mangle', '-A OUTPUT -m socket --transparent --nowildcard -j DROP', /socket on OUTPUT/],
  ['mangle', '-A PREROUTING -m set --match-set NONE dst,dst -j DROP', /no set NONE/],
] as const)
  test(`it refuses to walk ${rule} in ${table}`, (t) => {
    const rules = compileRules(`*${table}\n${rule}\nCOMMIT\n`)
    const from = rule.includes('OUTPUT') ? '192.168.0.10' : '10.244.1.5'
    t.throws(
      () =>
        rules.trace(aPacket({ from, to: '192.168.0.10' }), {
          ...WORLD,
          isLocal: (a) => a === ip('192.168.0.10'),
        }),
      {
        message: why,
      },
    )
  })
