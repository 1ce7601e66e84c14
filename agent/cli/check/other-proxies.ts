// Other programs that carry Services or program the same hooks, told by their processes and by what they leave.

import type { NodeFacts } from './facts.ts'
import { result, type CheckResult } from './result.ts'

export function checkOtherProxies(facts: NodeFacts): readonly CheckResult[] {
  return [kubeProxy(facts), ...OTHERS.flatMap((other) => checkOther(other, facts))]
}

function kubeProxy(facts: NodeFacts): CheckResult {
  const name = 'kube-proxy'
  if (facts.processes.includes('kube-proxy'))
    return result.bad(
      name,
      'kube-proxy runs on this node',
      'stop it first: two proxies undo each other; its rules may stay, Shunt takes them over',
    )
  const table = facts.nftTables.some((line) => line.endsWith(' kube-proxy'))
  if (table)
    return result.warn(
      name,
      'its nftables table is still there',
      'remove it with `shunt cleanup --all`, or it goes on balancing',
    )
  const chains = facts.rules.some(({ text }) => text.includes(':KUBE-SERVICES '))
  const ours = facts.rules.some(({ text }) => text.includes(':SHUNT-'))
  if (chains && !ours)
    return result.info(
      name,
      'its iptables chains are there, without the process; Shunt takes them over in one step',
    )
  return result.ok(name, 'does not run')
}

interface Other {
  readonly name: string
  readonly processes: readonly string[]
  readonly chains: RegExp
  readonly found: string
  readonly hint: string
}

const OTHERS: readonly Other[] = [
  {
    name: 'Cilium',
    processes: ['cilium-agent'],
    chains: /^:CILIUM_/m,
    found: 'Cilium is on this node',
    hint: 'set its kubeProxyReplacement to false, or it answers for Services before our rules do',
  },
  {
    name: 'Calico',
    processes: ['calico-node', 'felix', 'calico-felix'],
    chains: /^:cali-/m,
    found: 'Calico is on this node',
    hint: 'keep its eBPF mode off; with iptables compare its mark mask with ours (see the marks below)',
  },
  {
    name: 'kube-router',
    processes: ['kube-router'],
    chains: /^:KUBE-ROUTER-/m,
    found: 'kube-router is on this node',
    hint: 'turn its --run-service-proxy off',
  },
]

function checkOther(other: Other, facts: NodeFacts): readonly CheckResult[] {
  const here =
    other.processes.some((name) => facts.processes.includes(name)) ||
    facts.rules.some(({ text }) => other.chains.test(text))
  return here ? [result.warn(other.name, other.found, other.hint)] : []
}
