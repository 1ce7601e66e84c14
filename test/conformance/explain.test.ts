// The table of flows, written by hand, agrees with explain(), which decides from the objects: whoever is wrong, it is
// found here before a kernel is asked.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { loadManifests } from '#agent/cluster/manifests.ts'
import { loadConfiguration } from '#agent/config/load.ts'
import { planOptionsOf } from '#agent/config/plan-options.ts'
import { parseIp, type Ip } from '#agent/model/ip.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { explain } from '#agent/plan/explain.ts'
import type { Outcome } from '#agent/plan/explanation.ts'
import type { Plan } from '#agent/plan/plan.ts'

import { nodeAddresses, ROUTED, type NodeSpec } from '../support/lab/topology.ts'
import { casesOf, clientAddresses, destinationAddress, destinationPort, type Case } from './cases.ts'
import { SETTINGS, type Setting } from './flows.ts'
import { expectationText, sentence, type SourceSeen } from './scenario.ts'
import { writeObjects } from './stage.ts'

for (const setting of SETTINGS) {
  for (const steered of setting.alsoSteered ? [false, true] : [false]) {
    test(`explain agrees with the table: ${setting.name}${steered ? ', steered' : ''}`, async (t) => {
      const plans = new Map<NodeSpec, Plan>()
      for (const node of ROUTED.nodes) plans.set(node, await planOf(setting, node.name, steered))
      for (const given of casesOf(setting, steered)) {
        const node = takingNode(given)
        const plan = plans.get(node)
        if (plan === undefined) throw new Error(`no plan of ${node.name}`)
        const { scenario, flow, family, protocol } = given
        const text = sentence(scenario, flow, family, protocol)
        t.is(shown(given, outcomeOf(plan, node, given), node.name), expectationText(given.expect), text)
      }
    })
  }
}

async function planOf(setting: Setting, nodeName: string, steered: boolean): Promise<Plan> {
  const folder = mkdtempSync(join(tmpdir(), 'shunt-table-'))
  try {
    writeObjects(folder, setting, ROUTED)
    const { snapshot } = await loadManifests(folder, nodeName)
    const { configuration } = await loadConfiguration({
      command: 'agent',
      flags: { ...setting.options, manifests: folder, nodeName, steer: steered ? 'always' : 'never' },
      environment: {},
    })
    const families = ['IPv4', 'IPv6'] as const
    return buildPlan(
      snapshot,
      planOptionsOf(configuration, { semantics: 'iptables', families, mechanism: 'dnat' }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The node whose rules meet the packet first. */
function takingNode({ flow }: Case): NodeSpec {
  const [first, second] = ROUTED.nodes
  if (first === undefined || second === undefined) throw new Error('the topology has two nodes')
  if (flow.to.kind === 'nodePort') return flow.to.node === first.name ? first : second
  return second.name === flow.from || second.pods.some((pod) => pod.name === flow.from) ? second : first
}

function outcomeOf(plan: Plan, node: NodeSpec, given: Case): Outcome {
  const { scenario, flow, family, protocol } = given
  const own = clientAddresses(ROUTED, flow).filter((address) => address.includes(':') === (family === 'IPv6'))
  const isNode = flow.from === node.name
  const local = node.pods.some((pod) => pod.name === flow.from)
  return explain(
    plan,
    {
      source: ip(own[0] ?? ''),
      destination: ip(destinationAddress(ROUTED, scenario, flow, family)),
      port: destinationPort(scenario, flow),
      protocol,
      inInterface: isNode ? '' : local ? `veth-${flow.from}` : 'eth0',
    },
    { localAddresses: new Set([...nodeAddresses(node), '127.0.0.1', '::1'].map(ip)) },
  ).outcome
}

/** The outcome in the words of the table. */
function shown(given: Case, outcome: Outcome, node: string): string {
  const { expect, flow } = given
  switch (outcome.kind) {
    case 'reject':
      return 'refused'
    case 'drop':
      return 'silent'
    case 'pass':
      // To one of the node's own addresses that is a port on which nobody listens.
      return flow.to.kind === 'nodePort' || flow.to.kind === 'localhostNodePort' ? 'refused' : 'untouched'
    case 'forward': {
      const sourceOf = (masquerade: boolean): SourceSeen =>
        masquerade || outcome.steered || flow.from === node ? (node as SourceSeen) : 'client'
      const names = outcome.endpoints.map(({ endpoint, masquerade }) => ({
        name: nameOf(endpoint.ip, endpoint.port),
        source: sourceOf(masquerade),
      }))
      const itself = names.find(({ name }) => name === flow.from)?.source
      const source = names.find(({ name }) => name !== flow.from)?.source ?? itself ?? 'client'
      const by = names.map(({ name }) => name)
      if (outcome.affinitySeconds !== undefined) return expectationText({ kind: 'sticky', oneOf: by, source })
      if (expect.kind === 'shares') return expectationText({ ...expect, by, source })
      const ofItself = itself === undefined || itself === source ? {} : { ofItself: itself }
      return expectationText({ kind: 'answered', by, source, ...ofItself })
    }
  }
}

function nameOf(address: Ip, port: number): string {
  const pod = ROUTED.nodes
    .flatMap((node) => node.pods)
    .find(({ ipv4, ipv6 }) => [ipv4, ipv6].includes(address))
  return port === 8080 ? `${pod?.name}` : `${pod?.name}:${port}`
}

function ip(text: string): Ip {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new Error(`${text} is no address`)
  return parsed
}
