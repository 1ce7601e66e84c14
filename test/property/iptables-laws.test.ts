// The laws of agent/datapath/datapath.ts for the iptables datapath, over random plans, on a fake that refuses what the
// kernel refuses. Commits are also cut off between any two steps.

import test from 'ava'
import * as fc from 'fast-check'

import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import type { CommitStep } from '#agent/datapath/iptables/commit.ts'
import { stateText, type IptablesState } from '#agent/datapath/iptables/state.ts'
import type { Datapath } from '#agent/datapath/datapath.ts'
import { buildPlan } from '#agent/plan/build.ts'
import type { Plan } from '#agent/plan/plan.ts'
import type { Snapshot } from '#agent/plan/snapshot.ts'
import { arbitraryOptions, arbitrarySnapshot, mixSnapshots } from '../support/arbitrary.ts'
import { fakeIptables, type FakeIptables } from '../support/fake-iptables.ts'
import { fakeSteering, type FakeSteering } from '../support/fake-steering.ts'
import { planOf } from '../support/build.ts'
import { manualClock } from '../support/manual-clock.ts'
import { quietLog } from '../support/quiet-log.ts'
import { demoParts } from '../support/rich-plan.ts'

const RUNS = 100
const { signal } = new AbortController()

interface Bench {
  readonly fake: FakeIptables
  readonly steering: FakeSteering
  readonly datapath: Datapath<IptablesState>
}

function bench(onStep?: (step: CommitStep) => void, under: Partial<Bench> = {}): Bench {
  const fake = under.fake ?? fakeIptables()
  const steering = under.steering ?? fakeSteering()
  const datapath = createIptablesDatapath({
    runner: fake,
    steering,
    clock: manualClock(),
    log: quietLog(),
    variant: 'nft',
    ...(onStep === undefined ? {} : { onStep }),
  })
  return { fake, steering, datapath }
}

/** Commits the change and checks that the kernel then holds `want`. */
async function move({ datapath }: Bench, from: Plan | undefined, to: Plan): Promise<void> {
  const live = from === undefined ? undefined : datapath.render(from)
  const want = datapath.render(to)
  await datapath.commit(datapath.change(live, want), signal)
  await holds(datapath, to)
}

async function holds(datapath: Datapath<IptablesState>, plan: Plan): Promise<void> {
  const [read, want] = [await datapath.read(signal), datapath.render(plan)]
  const left = datapath.change(read, want)
  if (left.size > 0) throw new Error(`the kernel does not hold what was wanted:\n${left.toString()}`)
  if (
    stateText(read) !== stateText(want) &&
    plan.families.IPv4 !== undefined &&
    plan.families.IPv6 !== undefined
  )
    throw new Error('no change is left, yet the texts differ')
}

const twoSnapshots = fc
  .record({
    from: arbitrarySnapshot(),
    other: arbitrarySnapshot(),
    options: arbitraryOptions({ semantics: 'iptables' }),
    mask: fc.nat(),
  })
  .map(({ from, other, options, mask }) => ({ options, from, to: mixSnapshots(from, other, mask) }))

function plans(drawn: { options: Plan['options']; from: Snapshot; to: Snapshot }): readonly [Plan, Plan] {
  const from = buildPlan(drawn.from, drawn.options)
  return [from, buildPlan(drawn.to, drawn.options, { plan: from, snapshot: drawn.from })]
}

test('equal plans render equal, and a change from a state to itself is empty', (t) => {
  fc.assert(
    fc.property(arbitrarySnapshot(), arbitraryOptions({ semantics: 'iptables' }), (snapshot, options) => {
      const { datapath } = bench()
      const [one, two] = [buildPlan(snapshot, options), buildPlan(structuredClone(snapshot), options)]
      if (stateText(datapath.render(one)) !== stateText(bench().datapath.render(two))) return false
      return datapath.change(datapath.render(one), datapath.render(one)).size === 0
    }),
    { numRuns: RUNS },
  )
  t.pass()
})

test('a change from a to b leads from a to b, and sends no chain that stays as it is', async (t) => {
  await fc.assert(
    fc.asyncProperty(twoSnapshots, async (drawn) => {
      const [from, to] = plans(drawn)
      const table = bench()
      await move(table, undefined, from)
      const before = chainsOf(table.fake)
      table.fake.restored.length = 0
      await move(table, from, to)
      const after = chainsOf(table.fake)
      for (const { tool, text } of table.fake.restored)
        for (const key of declaredIn(tool, text))
          if (before.has(key) && before.get(key) === after.get(key))
            throw new Error(`${key} was sent, but did not change`)
    }),
    { numRuns: RUNS },
  )
  t.pass()
})

test('from any state, whoever was there, a full change leads to the wanted one', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      twoSnapshots,
      arbitraryOptions({ semantics: 'iptables' }),
      fc.nat(),
      async (drawn, other, damage) => {
        const table = bench()
        const from = buildPlan(drawn.from, other)
        await move(table, undefined, from)
        await hurt(table.fake, damage)
        const [, to] = plans(drawn)
        await move(bench(undefined, table), undefined, to)
      },
    ),
    { numRuns: RUNS },
  )
  t.pass()
})

test('cut off between any two steps, the next full change still leads to the wanted state', async (t) => {
  const cutAt = new Set<string>()
  let cuts = 0
  await fc.assert(
    fc.asyncProperty(twoSnapshots, async (drawn) => {
      // In turn and not by chance: few changes have many steps, and each early step must be cut often.
      const cut = cuts++ % 5
      const [from, to] = plans(drawn)
      const table = bench()
      await move(table, undefined, from)
      let steps = 0
      const cutting = bench((step) => {
        keysCoverSets(table)
        if (steps++ !== cut) return
        cutAt.add(step)
        throw new Error('cut')
      }, table)
      const [live, want] = [cutting.datapath.render(from), cutting.datapath.render(to)]
      await cutting.datapath.commit(cutting.datapath.change(live, want), signal).catch((error: unknown) => {
        if (!(error instanceof Error && error.message === 'cut')) throw error
      })
      keysCoverSets(table)
      await move(bench(undefined, table), undefined, to)
    }),
    { numRuns: RUNS },
  )
  t.true(cutAt.has('rules-IPv4') && cutAt.has('rules-IPv6'), [...cutAt].join(' '))
})

test('steering switched on, off and over, cut off before every step there is', async (t) => {
  const parts = demoParts(2, 'always')
  const mechanisms = ['off', 'sk_lookup', 'dnat', 'off', 'dnat', 'sk_lookup', 'off'] as const
  const cutAt = new Set<string>()
  for (const [i, to] of mechanisms.entries()) {
    const from = mechanisms[i - 1]
    if (from === undefined) continue
    const plan = (mechanism: typeof to): Plan => planOf(parts, { steering: { mechanism, proxyPort: 15001 } })
    for (let cut = 0, cutHere = true; cutHere; cut++) {
      const table = bench()
      await move(table, undefined, plan(from))
      cutHere = false
      let steps = 0
      const cutting = bench((step) => {
        keysCoverSets(table)
        if (steps++ !== cut) return
        cutAt.add(step)
        cutHere = true
        throw new Error('cut')
      }, table)
      const change = cutting.datapath.change(undefined, cutting.datapath.render(plan(to)))
      await cutting.datapath.commit(change, signal).catch(() => {})
      keysCoverSets(table)
      await move(bench(undefined, table), undefined, plan(to))
    }
  }
  t.deepEqual([...cutAt].sort(), [
    'end',
    'rules-IPv4',
    'rules-IPv6',
    'sets-destroy',
    'sets-grow',
    'steering-add',
    'steering-prepare',
    'steering-remove',
  ])
})

test('purge leaves nothing, twice, and what others had as it was', async (t) => {
  const others = `*filter\n:OTHERS - [0:0]\n-A INPUT -j OTHERS\n-A OTHERS -s 10.9.9.0/24 -j RETURN\nCOMMIT\n`
  await fc.assert(
    fc.asyncProperty(
      arbitrarySnapshot(),
      arbitraryOptions({ semantics: 'iptables' }),
      async (snapshot, options) => {
        const table = bench()
        await table.fake.run({ program: 'iptables-nft-restore', args: ['--noflush'], stdin: others })
        const before = table.fake.saved() + table.fake.saved('ip6tables')
        await move(table, undefined, buildPlan(snapshot, options))
        for (let i = 0; i < 2; i++) {
          await table.datapath.purge(signal)
          if (table.fake.saved() + table.fake.saved('ip6tables') !== before)
            throw new Error(table.fake.saved())
          if (table.fake.sets.size > 0 || table.steering.keys.size > 0)
            throw new Error('sets or keys are left')
        }
      },
    ),
    { numRuns: RUNS },
  )
  t.pass()
})

test('what one family refuses does not keep the other from its rules, and is told', async (t) => {
  const { fake, datapath } = bench()
  const plan = buildPlan(
    fc.sample(arbitrarySnapshot(), { numRuns: 1, seed: 7 })[0] as Snapshot,
    fc.sample(arbitraryOptions({ semantics: 'iptables', families: ['IPv4', 'IPv6'] }), {
      numRuns: 1,
      seed: 7,
    })[0] as Plan['options'],
  )
  await datapath.probe()
  await datapath.read(signal)
  fake.broken.add('iptables-nft-restore')
  await t.throwsAsync(datapath.commit(datapath.change(undefined, datapath.render(plan)), signal), {
    message: /iptables-nft-restore .*is broken/,
  })
  t.regex(fake.saved('ip6tables'), /KUBE-SERVICES/)
  t.notRegex(fake.saved(), /KUBE-SERVICES/)
})

/** The program of sk_lookup knows an address before a set says that it is steered. */
function keysCoverSets({ fake, steering }: Bench): void {
  if (!fake.saved().includes('steered connections keep their destination')) return
  if (steering.mechanism !== 'sk_lookup')
    throw new Error('rules leave connections to sk_lookup, which is not there')
  for (const name of ['SHUNT-STEER-4', 'SHUNT-STEER-6'])
    for (const member of fake.sets.get(name)?.members ?? []) {
      const [ip = '', port = ''] = member.split(',tcp:')
      if (port !== '15009' && !steering.keys.has(`${ip}|${port}`))
        throw new Error(`${member} is in ${name}, but sk_lookup does not know it`)
    }
}

/** Does to the rules what an operator, another program or an older version may have done. */
async function hurt(fake: FakeIptables, draw: number): Promise<void> {
  const stale = 'KUBE-SEP-AAAAAAAAAAAAAAAA'
  const texts = [
    `*nat\n:${stale} - [0:0]\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n-A KUBE-SVC-AAAAAAAAAAAAAAAA -j ${stale}\nCOMMIT\n`,
    `*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n`,
    `*filter\n-I INPUT -j KUBE-PROXY-FIREWALL\n-I INPUT -j KUBE-PROXY-FIREWALL\nCOMMIT\n`,
    `*filter\n-A KUBE-FORWARD -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n`,
    `*mangle\n:SHUNT-OLD - [0:0]\n-I PREROUTING -j SHUNT-OLD\nCOMMIT\n`,
    `*filter\n-D INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS\nCOMMIT\n`,
  ]
  for (const [i, stdin] of texts.entries())
    if ((draw >> i) & 1) await fake.run({ program: 'iptables-nft-restore', args: ['--noflush'], stdin })
}

/** By `tool table chain`. */
function chainsOf(fake: FakeIptables): ReadonlyMap<string, string> {
  const chains = new Map<string, string>()
  for (const tool of ['iptables', 'ip6tables'] as const) {
    let table = ''
    for (const line of fake.saved(tool).split('\n')) {
      if (line.startsWith('*')) table = line.slice(1)
      const chain = /^(?::|-A )(\S+)/.exec(line)?.[1]
      const key = `${tool} ${table} ${chain}`
      if (chain !== undefined) chains.set(key, `${chains.get(key) ?? ''}${line}\n`)
    }
  }
  return chains
}

function declaredIn(tool: string, text: string): string[] {
  let table = ''
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1)
    return line.startsWith(':') ? [`${tool} ${table} ${line.slice(1).split(' ')[0]}`] : []
  })
}
