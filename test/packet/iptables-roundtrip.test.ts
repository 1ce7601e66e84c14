// The iptables datapath on the real kernel, both variants: what was written is read back as it was rendered, a change
// sends only what changed, damage is found and repaired, and purge leaves nothing.

import test from 'ava'

import { createIptablesDatapath } from '#agent/datapath/iptables/datapath.ts'
import { stateText } from '#agent/datapath/iptables/state.ts'
import type { Plan, PlanOptions } from '#agent/plan/plan.ts'
import { systemClock } from '#agent/kernel/clock.ts'
import { cidr, planOf } from '../support/build.ts'
import { fakeSteering } from '../support/fake-steering.ts'
import { testNamespace } from '../support/netns-runner.ts'
import { manyServices } from '../support/many-services.ts'
import { quietLog } from '../support/quiet-log.ts'
import { demoParts, demoPlan, RICH, richPlan } from '../support/rich-plan.ts'

const signal = new AbortController().signal

const DETECTORS: Readonly<Record<string, Partial<PlanOptions>>> = {
  'no detector': { localDetector: { kind: 'none' } },
  'the cluster range': {},
  'a bridge': { localDetector: { kind: 'bridgeInterface', name: 'cni0' } },
  'a prefix of interfaces': { localDetector: { kind: 'interfaceNamePrefix', prefix: 'cali' } },
  'primary NodePort addresses': { nodePortAddresses: { kind: 'primary' } },
  'NodePort ranges': {
    nodePortAddresses: {
      kind: 'cidrs',
      cidrs: [cidr('126.0.0.0/7'), cidr('192.168.0.0/24'), cidr('fd00::/8')],
    },
    localhostNodePorts: false,
  },
  'masquerade all': { masqueradeAll: true },
  'steering by DNAT': { steering: { mechanism: 'dnat', proxyPort: 15001 } },
  'no steering': { steering: { mechanism: 'off', proxyPort: 15001 } },
}

for (const variant of ['nft', 'legacy'] as const) {
  const open = async (t: { teardown(fn: () => Promise<void>): void }) => {
    const namespace = await testNamespace()
    t.teardown(async () => {
      await namespace.close()
    })
    const steering = fakeSteering()
    const datapath = createIptablesDatapath({
      runner: namespace.runner,
      steering,
      clock: systemClock,
      log: quietLog(),
      variant,
    })
    const apply = async (plan: Plan | undefined, want: Plan) =>
      await datapath.commit(
        datapath.change(plan === undefined ? undefined : datapath.render(plan), datapath.render(want)),
        signal,
      )
    const rules = async () =>
      (await namespace.exec(`iptables-${variant}-save`)) + (await namespace.exec(`ip6tables-${variant}-save`))
    return { namespace, datapath, steering, apply, rules }
  }

  test(`${variant}: what is written is read back as rendered, for every kind of rule`, async (t) => {
    const { datapath, apply } = await open(t)
    for (const [name, options] of Object.entries(DETECTORS)) {
      const plan = richPlan(options)
      await apply(undefined, plan)
      const live = await datapath.read(signal)
      t.is(stateText(live), stateText(datapath.render(plan)), name)
      t.is(datapath.change(live, datapath.render(plan)).size, 0, name)
    }
  })

  test(`${variant}: a second endpoint changes the Service's own chains and nothing else`, async (t) => {
    const { datapath, apply } = await open(t)
    const [one, two] = [demoPlan(1), demoPlan(2)]
    await apply(undefined, one)
    const change = datapath.change(datapath.render(one), datapath.render(two))
    t.is(
      change.toString(),
      `# iptables-restore --noflush
*nat
:KUBE-SVC-MFJHED5Y2WHWJ6HX - [0:0]
:KUBE-SEP-NXPGMUBGGTRFLABG - [0:0]
-A KUBE-SVC-MFJHED5Y2WHWJ6HX ! -s 10.244.0.0/16 -d 10.97.95.146/32 -p tcp -m comment --comment "default/hello-minikube cluster IP" -m tcp --dport 8080 -j KUBE-MARK-MASQ
-A KUBE-SVC-MFJHED5Y2WHWJ6HX -m comment --comment "default/hello-minikube -> 172.17.0.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-EVPNTXRIBDBX2HJK
-A KUBE-SVC-MFJHED5Y2WHWJ6HX -m comment --comment "default/hello-minikube -> 172.17.0.7:8080" -j KUBE-SEP-NXPGMUBGGTRFLABG
-A KUBE-SEP-NXPGMUBGGTRFLABG -s 172.17.0.7/32 -m comment --comment "default/hello-minikube" -j KUBE-MARK-MASQ
-A KUBE-SEP-NXPGMUBGGTRFLABG -p tcp -m comment --comment "default/hello-minikube" -m tcp -j DNAT --to-destination 172.17.0.7:8080
COMMIT
`,
    )
    const report = await datapath.commit(change, signal)
    t.deepEqual(Object.keys(report.kernelMs), ['IPv4'])
    t.is(datapath.change(await datapath.read(signal), datapath.render(two)).size, 0)
    await apply(two, one)
    t.is(datapath.change(await datapath.read(signal), datapath.render(one)).size, 0)
  })

  test(`${variant}: lines of big chains are edited in place`, async (t) => {
    const { datapath, apply } = await open(t)
    let live: Plan | undefined
    for (const plan of manyServices(11, 25)) {
      await apply(live, plan)
      t.is(
        datapath.change(await datapath.read(signal), datapath.render(plan)).size,
        0,
        `step ${plan.generation}`,
      )
      live = plan
    }
  })

  test(`${variant}: what others did to our rules is found and repaired, theirs is left alone`, async (t) => {
    const { namespace, datapath, apply } = await open(t)
    const foreign = `*filter
:OTHERS - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A INPUT -m comment --comment "before us" -j OTHERS
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
-A OTHERS -s 10.9.9.0/24 -j RETURN
COMMIT
`
    const tool = `iptables-${variant}`
    await namespace.runner.run({ program: `${tool}-restore`, args: ['--noflush'], stdin: foreign })
    const before = rulesOf(await namespace.exec(`${tool}-save`, '-t', 'filter'))
    const plan = richPlan()
    const want = datapath.render(plan)
    await apply(undefined, plan)
    for (const damage of [
      ['-t', 'nat', '-F'],
      ['-t', 'nat', '-D', 'KUBE-SERVICES', '1'],
      ['-t', 'nat', '-A', 'KUBE-MARK-MASQ', '-j', 'RETURN'],
      ['-t', 'filter', '-D', 'INPUT', '1'],
      ['-t', 'filter', '-D', 'KUBE-FIREWALL', '1'],
      ['-t', 'nat', '-N', 'KUBE-SEP-AAAAAAAAAAAAAAAA'],
      ['-t', 'filter', '-A', 'FORWARD', '-j', 'KUBE-FORWARD'],
      ['-t', 'mangle', '-F', 'SHUNT-STEER'],
    ]) {
      await namespace.exec(tool, ...damage)
      const change = datapath.change(await datapath.read(signal), want)
      t.true(change.size > 0, damage.join(' '))
      await datapath.commit(change, signal)
      t.is(datapath.change(await datapath.read(signal), want).size, 0, damage.join(' '))
    }
    await namespace.exec('ipset', 'del', 'SHUNT-STEER-4', '10.96.0.14,tcp:80')
    const change = datapath.change(await datapath.read(signal), want)
    t.is(change.toString(), '# ipset -exist restore, before the rules\nadd SHUNT-STEER-4 10.96.0.14,tcp:80\n')
    await datapath.commit(change, signal)
    const saved = await namespace.exec(`${tool}-save`, '-t', 'filter')
    for (const line of foreign.split('\n').filter((line) => line.startsWith('-A')))
      t.true(saved.includes(line), line)
    t.is(saved.match(/-A INPUT -j KUBE-FIREWALL/g)?.length, 1)

    await datapath.purge(signal)
    t.deepEqual(rulesOf(await namespace.exec(`${tool}-save`, '-t', 'filter')), before)
  })

  test(`${variant}: from any state a full change leads to the wanted one; purge leaves nothing`, async (t) => {
    const { namespace, datapath, steering, apply, rules } = await open(t)
    const empty = await rules()
    await apply(undefined, richPlan())
    await apply(undefined, demoPlan(2, { steering: { mechanism: 'off', proxyPort: 15001 } }))
    t.is((await namespace.exec('ipset', 'list', '-n')).trim(), '')
    await apply(undefined, planOf(demoParts(2, 'always')))
    t.true([...steering.keys.keys()].includes('10.97.95.146|8080'))
    await apply(undefined, planOf(RICH, { families: ['IPv4'] }))
    const live = await datapath.read(signal)
    t.false(stateText(live).includes('fd00:96::10'))
    for (let i = 0; i < 2; i++) {
      await datapath.purge(signal)
      t.deepEqual(rulesOf(await rules()), rulesOf(empty))
      t.is((await namespace.exec('ipset', 'list', '-n')).trim(), '')
    }
  })

  test(`${variant}: probe says usable and changes nothing`, async (t) => {
    const { datapath, rules } = await open(t)
    const before = await rules()
    const capability = await datapath.probe()
    t.is(capability.kind, 'usable', JSON.stringify(capability))
    t.deepEqual(capability.kind === 'usable' ? capability.families : [], ['IPv4', 'IPv6'])
    const steering = await datapath.probeSteering()
    t.is(steering.sk_lookup.kind, 'usable', JSON.stringify(steering))
    t.is(steering.dnat.kind, 'usable')
    t.deepEqual(rulesOf(await rules()), rulesOf(before))
  })
}

/** Chains and rules, without counters, dates and the tables that a tool made empty. */
function rulesOf(saved: string): string[] {
  return saved
    .split('\n')
    .filter((line) => line.startsWith('-') || line.startsWith(':'))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
    .filter((line) => !/^:(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ACCEPT$/.test(line))
}
