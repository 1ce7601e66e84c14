import test from 'ava'

import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import type { CommandRunner } from '#agent/kernel/command.ts'
import { ShuntError } from '#agent/model/errors.ts'
import { fakeSteering } from '../../support/fake-steering.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'

interface Node {
  readonly version?: string
  /** Programs, or words of a rule, that do not work. */
  readonly fails?: readonly string[]
  readonly missing?: readonly string[]
}

function datapathOn({ version = 'iptables v1.8.9 (nf_tables)', fails = [], missing = [] }: Node) {
  const commands: string[] = []
  const runner: CommandRunner = {
    run: async ({ program, args, stdin = '' }) => {
      commands.push([program, ...args].join(' '))
      if (missing.includes(program)) throw new ShuntError('PROGRAM_MISSING', `${program} is missing`)
      const failed = fails.some((word) => program === word || stdin.includes(word))
      const stdout = args.includes('--version') ? version : ''
      return { exitCode: failed ? 2 : 0, stdout, stderr: failed ? 'it does not work\n' : '', durationMs: 1 }
    },
  }
  const datapath = createIptablesDatapath({
    runner,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
  })
  return { datapath, commands }
}

test('a node with everything is usable in both families, and nothing is committed', async (t) => {
  const { datapath, commands } = datapathOn({})
  t.deepEqual(await datapath.probe(), {
    kind: 'usable',
    detail: 'iptables 1.8.9 (nft: chosen by the configuration)',
    families: ['IPv4', 'IPv6'],
  })
  t.true(
    commands.filter((command) => command.includes('-restore')).every((command) => command.includes('--test')),
  )
})

for (const [name, node, because, hint] of [
  [
    'iptables is missing',
    { missing: ['iptables-nft'] },
    /iptables-nft is not installed/,
    /install the package iptables/,
  ],
  ['iptables is too old', { version: 'iptables v1.6.1' }, /1\.6\.1 is too old/, /1\.6\.2 or newer/],
  ['a match is missing', { fails: ['statistic'] }, /IPv4: it does not work; IPv6/, /statistic/],
] as const)
  test(`unusable, with a reason and a hint: ${name}`, async (t) => {
    const capability = await datapathOn(node).datapath.probe()
    if (capability.kind === 'usable') return void t.fail('usable')
    t.regex(capability.because, because)
    t.regex(capability.hint, hint)
  })

test('a node without IPv6 tables is usable for IPv4, and says why', async (t) => {
  const { datapath } = datapathOn({ fails: ['ip6tables-nft-restore'] })
  const capability = await datapath.probe()
  t.deepEqual(capability.kind === 'usable' ? capability.families : [], ['IPv4'])
  t.regex(capability.kind === 'usable' ? capability.detail : '', /IPv6: it does not work/)
})

for (const [name, node, expected] of [
  ['everything works', {}, ['usable', 'usable']],
  ['ipset is missing', { missing: ['ipset'] }, ['unusable', 'unusable']],
  ['the kernel has no ip_set', { fails: ['ipset'] }, ['unusable', 'unusable']],
  ['there is no match socket', { fails: ['socket'] }, ['unusable', 'usable']],
  ['there is no match connmark', { fails: ['connmark'] }, ['unusable', 'unusable']],
] as const)
  test(`steering by sk_lookup is ${expected[0]}, by dnat ${expected[1]}, when ${name}`, async (t) => {
    const { sk_lookup, dnat } = await datapathOn(node).datapath.probeSteering()
    t.deepEqual([sk_lookup.kind, dnat.kind], [...expected])
  })

test('a failure of the probe is not remembered', async (t) => {
  const missing = ['iptables-nft']
  const { datapath } = datapathOn({ missing })
  await t.throwsAsync(datapath.read(new AbortController().signal), { instanceOf: ShuntError })
  missing.length = 0
  await t.notThrowsAsync(datapath.read(new AbortController().signal))
})

test('purge succeeds where iptables is not installed; reading is an error with a code', async (t) => {
  const { datapath } = datapathOn({ missing: ['iptables-nft'] })
  const { signal } = new AbortController()
  const error = await t.throwsAsync(datapath.read(signal), { instanceOf: ShuntError })
  t.is(error.code, 'DATAPATH_UNUSABLE')
  await t.notThrowsAsync(datapath.purge(signal))
})
