// Living beside rules of others: what is theirs stays, what they need of ours stays usable.

import test from 'ava'

import { isOurBaseRule } from '#agent/datapath/iptables/base-rules.ts'
import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import { fakeIptables } from '../../support/fake-iptables.ts'
import { fakeSteering } from '../../support/fake-steering.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { quietLog } from '../../support/quiet-log.ts'
import { demoPlan } from '../../support/rich-plan.ts'

const { signal } = new AbortController()

for (const [chain, spec, ours] of [
  ['INPUT', '-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS', true],
  ['INPUT', '-j KUBE-EXTERNAL-SERVICES', true],
  ['PREROUTING', '-j SHUNT-OLD', true],
  ['OUTPUT', '-d 10.0.0.1/32 -j KUBE-MARK-MASQ', false],
  ['CNI-HOSTPORT-SETMARK', '-j KUBE-MARK-MASQ', false],
  ['cali-OUTPUT', '-j KUBE-SERVICES', false],
  ['INPUT', '-j KUBE-FIREWALL', false],
  ['INPUT', '-j ACCEPT', false],
  ['KUBE-FIREWALL', '-m mark --mark 0x8000/0x8000 -j DROP', false],
] as const)
  test(`${chain}: ${spec} is ${ours ? 'ours' : "somebody else's"}`, (t) => {
    t.is(isOurBaseRule({ chain, spec }), ours)
  })

test("a chain of ours to which another's rule jumps survives purge, empty, and is filled again", async (t) => {
  const fake = fakeIptables()
  const datapath = createIptablesDatapath({
    runner: fake,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
  })
  const plan = demoPlan()
  const want = datapath.render(plan)
  await datapath.commit(datapath.change(undefined, want), signal)
  const portmap = '*nat\n:CNI-HOSTPORT-SETMARK - [0:0]\n-A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ\nCOMMIT\n'
  await fake.run({ program: 'iptables-nft-restore', args: ['--noflush'], stdin: portmap })
  t.is(datapath.change(await datapath.read(signal), want).size, 0)

  for (let i = 0; i < 2; i++) await datapath.purge(signal)
  t.deepEqual(
    fake
      .saved()
      .split('\n')
      .filter((line) => /KUBE|CNI/.test(line)),
    [':KUBE-MARK-MASQ - [0:0]', ':CNI-HOSTPORT-SETMARK - [0:0]', '-A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ'],
  )
  await datapath.commit(datapath.change(undefined, want), signal)
  t.is(datapath.change(await datapath.read(signal), want).size, 0)
  t.regex(fake.saved(), /-A KUBE-MARK-MASQ -j MARK/)
})

test('a restart on what is already there writes nothing', async (t) => {
  const fake = fakeIptables()
  const steering = fakeSteering()
  const start = () =>
    createIptablesDatapath({ runner: fake, steering, clock: manualClock(), log: quietLog(), variant: 'nft' })
  const first = start()
  await first.commit(first.change(undefined, first.render(demoPlan(2))), signal)
  fake.restored.length = 0
  const again = start()
  await again.commit(again.change(undefined, again.render(demoPlan(2))), signal)
  t.true(
    fake.restored.every(({ text }) => text.includes('SHUNT-PROBE')),
    'only the test texts of the probe',
  )
})

test('taking over from kube-proxy: its jumps and chains are used, not doubled, and its stale chains go', async (t) => {
  const fake = fakeIptables()
  const kubeProxy = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d 10.96.9.9/32 -j KUBE-SVC-AAAAAAAAAAAAAAAA
COMMIT
`
  await fake.run({ program: 'iptables-nft-restore', args: ['--noflush'], stdin: kubeProxy })
  const datapath = createIptablesDatapath({
    runner: fake,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
  })
  await datapath.commit(datapath.change(undefined, datapath.render(demoPlan())), signal)
  const saved = fake.saved()
  t.is(saved.match(/-A PREROUTING .* -j KUBE-SERVICES/g)?.length, 1)
  t.is(saved.match(/-A POSTROUTING .* -j KUBE-POSTROUTING/g)?.length, 1)
  t.notRegex(saved, /AAAAAAAAAAAAAAAA/)
  // One text for the family, so that there is no moment without rules.
  t.is(fake.restored.filter(({ tool, text }) => tool === 'iptables' && !text.includes('PROBE')).length, 2)
})

test('steering begins to mark after nat and filter know the mark, and ceases to before they forget it', async (t) => {
  const fake = fakeIptables()
  const datapath = createIptablesDatapath({
    runner: fake,
    steering: fakeSteering(),
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
  })
  const off = { steering: { mechanism: 'off', proxyPort: 15001 } } as const
  const tables = async (options: Parameters<typeof demoPlan>[1]): Promise<string[]> => {
    fake.restored.length = 0
    await datapath.commit(datapath.change(undefined, datapath.render(demoPlan(1, options))), signal)
    const text = fake.restored.find(({ tool }) => tool === 'iptables')?.text ?? ''
    return [...text.matchAll(/^\*(\w+)/gm)].map(([, table]) => table ?? '')
  }
  await tables(off)
  t.deepEqual(await tables({}), ['nat', 'filter', 'mangle'])
  t.deepEqual(await tables(off), ['mangle', 'filter', 'nat'])
})
