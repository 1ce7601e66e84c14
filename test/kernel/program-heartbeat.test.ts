// What a beat without the addon made of the program's complaints, and what conntrack tells of connections.

import test from 'ava'
import { readEvent } from '#agent/kernel/destination-watch.ts'
import { outcome } from '#agent/kernel/program-heartbeat.ts'
import { ip } from '../support/build.ts'

const ABSENT = 'ipset v7.17: The set with the given name does not exist'
const NO_ELEMENT = 'ipset v7.17: Set to be added/deleted/tested as element does not exist.'
const DENIED = 'ipset v7.17: Kernel error received: Operation not permitted'

const BEATS: readonly (readonly [string, readonly string[], object])[] = [
  ['silence is success', [], { kind: 'refreshed' }],
  ['a member that is not there yet leaves the others beating', [NO_ELEMENT], { kind: 'refreshed' }],
  ['without any set there is nothing to refresh', [ABSENT, ABSENT, ABSENT], { kind: 'no-sets' }],
  ['what else it says is a failure', [ABSENT, DENIED], { kind: 'failed', code: DENIED }],
]

for (const [sentence, complaints, expected] of BEATS)
  test(sentence, (t) => {
    t.like(outcome(complaints), expected)
  })

const EVENTS: readonly (readonly [string, string, object | undefined])[] = [
  [
    'a connection over IPv4',
    '    [NEW] tcp      6 120 SYN_SENT src=10.244.1.11 dst=10.97.0.1 sport=54212 dport=80 [UNREPLIED] src=192.168.0.10 dst=10.244.1.11 sport=15001 dport=54212',
    { client: { ip: ip('10.244.1.11'), port: 54212 }, destination: { ip: ip('10.97.0.1'), port: 80 } },
  ],
  [
    'a masqueraded client, whom the proxy sees under another address',
    '[NEW] tcp 6 120 SYN_SENT src=10.244.1.11 dst=10.97.0.1 sport=54212 dport=80 [UNREPLIED] src=192.168.0.10 dst=10.244.1.1 sport=15001 dport=1024',
    { client: { ip: ip('10.244.1.1'), port: 1024 }, destination: { ip: ip('10.97.0.1'), port: 80 } },
  ],
  [
    'a connection over IPv6',
    '[NEW] tcp 6 120 SYN_SENT src=fd99::1 dst=fd97::1 sport=51382 dport=80 [UNREPLIED] src=fd99::1 dst=fd99::2 sport=15001 dport=51382',
    { client: { ip: ip('fd99::2'), port: 51382 }, destination: { ip: ip('fd97::1'), port: 80 } },
  ],
  ['half a line', '[NEW] tcp 6 120 SYN_SENT src=10.244.1.11 dst=10.97.0.1 sport=54212', undefined],
  [
    'an address that is none',
    'src=x dst=y sport=1 dport=2 [UNREPLIED] src=x dst=y sport=1 dport=2',
    undefined,
  ],
]

for (const [sentence, line, expected] of EVENTS)
  test(`${sentence} is ${expected === undefined ? 'ignored' : 'understood'}`, (t) => {
    t.deepEqual(readEvent(line), expected as ReturnType<typeof readEvent>)
  })
