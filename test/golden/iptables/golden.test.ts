// The rules of some plans as files to be read by people. To write them anew after a wanted change, delete them and run
// this test: it writes what is missing and fails, so that nobody forgets to look.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import test from 'ava'

import { changeBetween } from '#agent/datapath/iptables/changeset.ts'
import { DEFAULT_SETTINGS } from '#agent/datapath/iptables/context.ts'
import { createRenderer } from '#agent/datapath/iptables/render.ts'
import type { Plan } from '#agent/plan/plan.ts'
import { planOf } from '../../support/build.ts'
import { demoParts, demoPlan, richPlan } from '../../support/rich-plan.ts'

const OFF = { steering: { mechanism: 'off', proxyPort: 15001 } } as const
const DNAT = { steering: { mechanism: 'dnat', proxyPort: 15001 } } as const

const PLANS: Readonly<Record<string, () => Plan>> = {
  'demo-one-endpoint': () => demoPlan(1, { ...OFF, families: ['IPv4'] }),
  'demo-two-endpoints': () => demoPlan(2, { ...OFF, families: ['IPv4'] }),
  'demo-steered': () => planOf(demoParts(2, 'always'), { families: ['IPv4'] }),
  'rich-sk-lookup': () => richPlan(),
  'rich-dnat-ipv4': () => richPlan({ ...DNAT, families: ['IPv4'] }),
  'rich-no-detector-ipv4': () => richPlan({ ...OFF, families: ['IPv4'], localDetector: { kind: 'none' } }),
}

for (const [name, plan] of Object.entries(PLANS))
  test(`${name}.rules`, (t) => {
    const file = new URL(`${name}.rules`, import.meta.url)
    const text = changeBetween(undefined, createRenderer(DEFAULT_SETTINGS)(plan())).toString()
    if (!existsSync(file)) {
      writeFileSync(file, text)
      t.fail(`${name}.rules was written; read it, then run again`)
    } else t.is(text, readFileSync(file, 'utf8'))
  })

test('what the tutorial greps for is there', (t) => {
  const text = changeBetween(undefined, createRenderer(DEFAULT_SETTINGS)(demoPlan(2))).toString()
  for (const line of [
    '-A KUBE-NODEPORTS -p tcp -m comment --comment "default/hello-minikube" -m tcp --dport 31286 -j KUBE-EXT-MFJHED5Y2WHWJ6HX',
    '-A KUBE-EXT-MFJHED5Y2WHWJ6HX -j KUBE-SVC-MFJHED5Y2WHWJ6HX',
    '-A KUBE-SVC-MFJHED5Y2WHWJ6HX -m comment --comment "default/hello-minikube -> 172.17.0.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-EVPNTXRIBDBX2HJK',
    '-A KUBE-SEP-EVPNTXRIBDBX2HJK -p tcp -m comment --comment "default/hello-minikube" -m tcp -j DNAT --to-destination 172.17.0.5:8080',
    '-A KUBE-SERVICES -d 10.97.95.146/32 -p tcp -m comment --comment "default/hello-minikube cluster IP" -m tcp --dport 8080 -j KUBE-SVC-MFJHED5Y2WHWJ6HX',
  ])
    t.true(text.includes(`${line}\n`), line)
})
