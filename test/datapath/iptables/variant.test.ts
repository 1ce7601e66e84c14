import test from 'ava'

import { chooseVariant, iptablesVersion, knowsRandomFully } from '#agent/datapath/iptables/variant.ts'
import type { CommandRunner } from '#agent/kernel/command.ts'
import { ShuntError } from '#agent/model/errors.ts'

/** Outputs by program; a program that is not there is missing. */
function programs(outputs: Readonly<Record<string, string>>): CommandRunner {
  return {
    run: async ({ program }) => {
      const stdout = outputs[program]
      if (stdout === undefined) throw new ShuntError('PROGRAM_MISSING', program)
      return { exitCode: stdout === 'broken' ? 1 : 0, stdout, stderr: '', durationMs: 1 }
    },
  }
}

const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n'
const TWO_RULES = '*filter\n-A INPUT -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n'
const HINT = '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n'
const CANARY = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n'

for (const [name, outputs, variant] of [
  ["kubelet's hint is in nft", { 'iptables-nft-save': HINT, 'iptables-legacy-save': TWO_RULES }, 'nft'],
  [
    "kubelet's canary is in legacy",
    { 'iptables-nft-save': TWO_RULES, 'iptables-legacy-save': CANARY },
    'legacy',
  ],
  [
    "kubelet's hint is in the IPv6 tables of legacy alone",
    { 'iptables-nft-save': TWO_RULES, 'iptables-legacy-save': EMPTY, 'ip6tables-legacy-save': HINT },
    'legacy',
  ],
  ['legacy has more rules', { 'iptables-nft-save': EMPTY, 'iptables-legacy-save': TWO_RULES }, 'legacy'],
  ['nft has more rules', { 'iptables-nft-save': TWO_RULES, 'iptables-legacy-save': EMPTY }, 'nft'],
  ['both have as many', { 'iptables-nft-save': TWO_RULES, 'iptables-legacy-save': TWO_RULES }, 'nft'],
  ['legacy is not installed', { 'iptables-nft-save': EMPTY }, 'nft'],
  ['legacy does not work', { 'iptables-nft-save': EMPTY, 'iptables-legacy-save': 'broken' }, 'nft'],
  ['nft is not installed', { 'iptables-legacy-save': EMPTY }, 'legacy'],
  ['neither is', { iptables: 'iptables v1.6.1\n' }, 'default'],
  [
    'there are no rules and the default is legacy',
    { 'iptables-nft-save': EMPTY, 'iptables-legacy-save': EMPTY, iptables: 'iptables v1.8.9 (legacy)\n' },
    'legacy',
  ],
  [
    'there are no rules and the default is nft',
    { 'iptables-nft-save': EMPTY, 'iptables-legacy-save': EMPTY, iptables: 'iptables v1.8.9 (nf_tables)\n' },
    'nft',
  ],
] as const)
  test(`${variant}, when ${name}`, async (t) => {
    const choice = await chooseVariant(programs(outputs))
    t.is(choice.variant, variant, choice.because)
  })

for (const [printed, backend, randomFully] of [
  ['iptables v1.8.9 (nf_tables)', 'nft', true],
  ['iptables v1.8.2 (legacy)', 'legacy', true],
  ['iptables v1.6.2', 'legacy', true],
  ['iptables v1.6.1', 'legacy', false],
  ['iptables v1.4.21', 'legacy', false],
  ['iptables v2.0', 'legacy', true],
] as const)
  test(`${printed} ${randomFully ? 'knows' : 'does not know'} --random-fully`, async (t) => {
    const version = await iptablesVersion(programs({ iptables: printed }), 'default')
    t.is(version?.backend, backend)
    t.is(version !== undefined && knowsRandomFully(version), randomFully)
  })

test('no version without the program', async (t) => {
  t.is(await iptablesVersion(programs({}), 'default'), undefined)
})
