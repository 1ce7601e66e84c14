// shunt plan: every decision about Service semantics on this node, before any kernel mechanism.

import type { FamilyPlan, Frontend, Plan, ServicePortPlan } from '../../plan/plan.ts'
import { policyText, tlsRouteText } from '../../plan/policy-text.ts'
import { planJson } from '../../sync/plan-json.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit.ts'
import { format, type Printed } from '../output.ts'
import { MANIFESTS_OPTION, PLAN_OPTIONS, sourcePlan } from '../plan-source.ts'
import { RUN_DIR_OPTION } from '../run-paths.ts'
import {
  allEndpoints,
  endpointAddress,
  endpointCondition,
  familyPlans,
  frontendAddress,
  steeringText,
  verdictText,
} from '../plan-text.ts'
import { renderTree, type Branch } from '../tree.ts'

export const plan: Command = {
  spec: {
    name: 'plan',
    summary: 'the Plan: for each address, what happens to whom; works offline',
    arguments: [],
    options: [MANIFESTS_OPTION, ...PLAN_OPTIONS, RUN_DIR_OPTION],
    prints: true,
    examples: [
      { line: 'shunt plan', explains: 'the plan that the agent holds' },
      { line: 'shunt plan -f manifests/ --node-name worker-1', explains: 'what an agent there would decide' },
    ],
  },
  async run(ports, input) {
    const sourced = await sourcePlan(ports, input)
    ports.stdout(format(printedPlan(sourced.plan), input.outputFormat()))
    return EXIT.ok
  },
}

function printedPlan(given: Plan): Printed {
  return {
    data: () => planJson(given),
    text: () => renderTree([...head(given), ...familyPlans(given).map(familyBranch)]),
  }
}

function head({ generation, options }: Plan): readonly Branch[] {
  const { mechanism, proxyPort } = options.steering
  return [
    { label: 'node', text: options.nodeName },
    { label: 'generation', text: String(generation) },
    { label: 'semantics', text: options.semantics },
    {
      label: 'steering',
      text: mechanism === 'off' ? 'off' : `${mechanism}, proxy port ${proxyPort}, steer ${options.steer}`,
    },
  ]
}

function familyBranch(family: FamilyPlan): Branch {
  const conflicts = family.conflicts.map((conflict): Branch => {
    const address = `${conflict.ip ?? '*'}:${conflict.port}/${conflict.protocol}`
    return {
      label: 'conflict',
      text: `${address} is ${conflict.winner}'s; also claimed by ${conflict.losers.join(', ')}`,
    }
  })
  return {
    label: family.family,
    text: `Pods by ${detectorText(family)} · NodePorts on ${nodePortText(family)}`,
    children: [...[...family.ports.values()].map(portBranch), ...conflicts],
  }
}

function portBranch(port: ServicePortPlan): Branch {
  const endpoints = allEndpoints(port).map((endpoint): Branch => ({
    label: 'endpoint',
    text: `${endpointAddress(endpoint)}   ${endpointCondition(endpoint)}`,
  }))
  const affinity: readonly Branch[] =
    port.affinitySeconds === undefined
      ? []
      : [{ label: 'affinity', text: `client address, ${port.affinitySeconds} s` }]
  return {
    label: '',
    text: port.key,
    children: [
      ...port.frontends.map((frontend) => ({ label: frontend.kind, text: frontendText(frontend) })),
      ...(endpoints.length === 0
        ? [{ label: 'endpoint', text: port.hasEndpoints ? 'none here' : 'none' }]
        : endpoints),
      ...affinity,
      { label: 'steered', text: steeringText(port) },
      ...(port.policy === undefined ? [] : [{ label: 'policy', text: policyText(port.policy) }]),
      ...port.tlsRoutes.map((entry) => ({
        label: 'TLS',
        text: `${tlsRouteText(entry)}   TLSRoute ${entry.route}`,
      })),
    ],
  }
}

function frontendText(frontend: Frontend): string {
  const { pod, host, outside } = frontend.verdicts
  const texts = { pod: verdictText(pod), host: verdictText(host), outside: verdictText(outside) }
  const same = texts.pod === texts.host && texts.host === texts.outside
  const verdicts = same ? texts.pod : `Pods ${texts.pod} · this node ${texts.host} · others ${texts.outside}`
  const sources = frontend.sources === undefined ? '' : ` · only from ${frontend.sources.cidrs.join(', ')}`
  return `${frontendAddress(frontend)}   ${verdicts}${sources}${frontend.steered ? ' · steered' : ''}`
}

function detectorText({ localDetector }: FamilyPlan): string {
  switch (localDetector.kind) {
    case 'none':
      return 'nothing (no detector)'
    case 'cidr':
      return localDetector.cidr
    case 'interface':
      return `interface ${localDetector.name}`
    case 'interfacePrefix':
      return `interfaces ${localDetector.prefix}*`
  }
}

function nodePortText({ nodePortAddresses }: FamilyPlan): string {
  const where =
    nodePortAddresses.kind === 'allLocal' ? 'every local address' : nodePortAddresses.cidrs.join(', ')
  return nodePortAddresses.loopback ? where : `${where}, not on loopback`
}
