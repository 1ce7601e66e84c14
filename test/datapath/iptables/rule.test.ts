import test from 'ava'

import { comment, kernelIp, notFrom, probability, rule } from '#agent/datapath/iptables/rule.ts'
import { cidr } from '../../support/build.ts'

for (const [n, printed] of [
  [2, '0.50000000000'],
  [3, '0.33333333349'],
  [4, '0.25000000000'],
  [7, '0.14285714272'],
  [1000, '0.00100000016'],
] as const)
  test(`1/${n} is printed as the kernel keeps it`, (t) => {
    t.is(probability(1 / n), printed)
    t.is(probability(Number(printed)), printed)
  })

for (const [given, printed] of [
  ['fd00::1', 'fd00::1'],
  ['::1', '::1'],
  ['::102:304', '::1.2.3.4'],
  ['::a:b', '::0.10.0.11'],
  ['10.0.0.1', '10.0.0.1'],
] as const)
  test(`${given} is written as the tools print it: ${printed}`, (t) => {
    t.is(kernelIp(given), printed)
  })

test('nothing that an object says ends the quotes or the line', (t) => {
  t.is(
    comment('default/web" -j ACCEPT\n-A INPUT -j ACCEPT \\'),
    '-m comment --comment "default/web_ -j ACCEPT_-A INPUT -j ACCEPT _"',
  )
  t.is(comment('x'.repeat(400)).length, '-m comment --comment ""'.length + 255)
})

test('nobody is outside of the range of everything', (t) => {
  t.is(notFrom(cidr('0.0.0.0/0')), undefined)
})

test('parts come in the order in which iptables-save prints them', (t) => {
  t.is(
    rule('X', {
      target: '-j DROP',
      port: 80,
      early: '-m addrtype --dst-type LOCAL',
      comment: 'c',
      protocol: 'TCP',
      inInterface: '-i eth0',
      destination: '-d 10.0.0.2/32',
      source: '-s 10.0.0.1/32',
      matches: [undefined, '-m mark --mark 0x1/0x1'],
    }),
    '-A X -s 10.0.0.1/32 -d 10.0.0.2/32 -i eth0 -p tcp -m comment --comment "c" -m addrtype --dst-type LOCAL ' +
      '-m tcp --dport 80 -m mark --mark 0x1/0x1 -j DROP',
  )
})
