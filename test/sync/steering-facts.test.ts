// A mechanism is a candidate only if both sides of it work.

import test from 'ava'
import type { Capability, SteeringCapability } from '#agent/datapath/datapath.ts'
import { candidatesOf } from '#agent/sync/steering-facts.ts'

const OK: Capability = { kind: 'usable', detail: '', families: ['IPv4'] }
const no = (because: string): Capability => ({ kind: 'unusable', because, hint: '' })
const both = (capability: Capability): SteeringCapability => ({ sk_lookup: capability, dnat: capability })

const ROWS = [
  { it: 'rules and kernel work', rules: both(OK), kernel: both(OK), want: [undefined, undefined] },
  {
    it: 'without ipset nothing can be steered, whatever the kernel can do',
    rules: both(no('no ipset')),
    kernel: both(OK),
    want: ['no ipset', 'no ipset'],
  },
  {
    it: 'without the socket match DNAT is left',
    rules: { sk_lookup: no('no xt_socket'), dnat: OK },
    kernel: both(OK),
    want: ['no xt_socket', undefined],
  },
  {
    it: 'without BPF DNAT is left',
    rules: both(OK),
    kernel: { sk_lookup: no('no BPF'), dnat: OK },
    want: ['no BPF', undefined],
  },
] as const

for (const { it, rules, kernel, want } of ROWS)
  test(it, (t) => {
    const candidates = candidatesOf(rules, kernel)
    t.deepEqual(
      candidates.map(({ mechanism }) => mechanism),
      ['sk_lookup', 'dnat'],
    )
    t.deepEqual(
      candidates.map(({ unusableBecause }) => unusableBecause),
      [...want],
    )
  })
