import test from 'ava'
import { inSet, parseIpsetSave } from '#agent/cli/trace/sets.ts'
import { ip } from '#test/support/build.ts'

const SETS = parseIpsetSave(`create SHUNT-STEER-4 hash:ip,port family inet hashsize 1024 maxelem 262144
add SHUNT-STEER-4 10.96.0.10,tcp:80
create SHUNT-STEER-6 hash:ip,port family inet6 hashsize 1024 maxelem 262144
add SHUNT-STEER-6 fd00:96::10,tcp:80
create SHUNT-STEER-NP bitmap:port range 0-65535
add SHUNT-STEER-NP 30080
create SHUNT-LIVE list:set size 8 timeout 1
add SHUNT-LIVE SHUNT-STEER-4 timeout 0
create SHUNT-LIVE-NP list:set size 8 timeout 1
`)

const CASES: readonly (readonly [string, string, string, number, boolean])[] = [
  ['an address and port that is in it', 'SHUNT-STEER-4', '10.96.0.10', 80, true],
  ['another port', 'SHUNT-STEER-4', '10.96.0.10', 81, false],
  ['another address', 'SHUNT-STEER-4', '10.96.0.1', 80, false],
  ['IPv6, which ipset prints without brackets', 'SHUNT-STEER-6', 'fd00:96::10', 80, true],
  ['a port on any address', 'SHUNT-STEER-NP', '192.168.0.10', 30080, true],
  ['a list asks its live members', 'SHUNT-LIVE', '10.96.0.10', 80, true],
  ['a member that has expired is not asked', 'SHUNT-LIVE', 'fd00:96::10', 80, false],
  ['an empty list', 'SHUNT-LIVE-NP', '192.168.0.10', 30080, false],
  ['a set that does not exist', 'OTHER', '10.96.0.10', 80, false],
]

for (const [what, set, address, port, expected] of CASES)
  test(`${set}: ${what}`, (t) => {
    t.is(inSet(SETS, set, { ip: ip(address), port }), expected)
  })
