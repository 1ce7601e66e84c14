// The reference meaning: what must happen to the first packet of a connection. `shunt trace` prints the steps, and
// property tests hold every datapath's rendered rules to the outcome. It asks in the order in which packets travel:
// which frontend, may this source use it, who is the client, what is the verdict, which endpoints.

import { familyOf } from '../model/ip.ts'
import { allowsSource, answersNodePorts, clientKindOf, isLocalAddress } from './clients.ts'
import type { Explanation, ExplanationStep, FrontendMatch, Outcome } from './explanation.ts'
import { explainMiss } from './explain-miss.ts'
import { findFrontend, type Found } from './lookup.ts'
import type { NodeWorld, Packet } from './packet.ts'
import type { FamilyPlan, Plan, Verdict } from './plan.ts'
import { tlsRouteText } from './policy-text.ts'
import {
  clientText,
  endpointsText,
  filterText,
  frontendText,
  steeringText,
  verdictText,
} from './sentences.ts'

/** Total: every packet has an outcome. */
export function explain(plan: Plan, packet: Packet, world: NodeWorld): Explanation {
  const family = familyOf(packet.destination)
  const familyPlan = plan.families[family]
  if (familyPlan === undefined) return pass(`this node has no ${family} Services`)
  const found = findDestination(familyPlan, packet, world)
  if (found === undefined) return explainMiss(plan.options.semantics, familyPlan, packet, world)
  return explainFound(plan, familyPlan, packet, world, found)
}

/** Exact addresses come before NodePorts, also on the node's own addresses (row 15). */
function findDestination(plan: FamilyPlan, packet: Packet, world: NodeWorld): Found | undefined {
  const { destination, port, protocol } = packet
  const exact = findFrontend(plan, destination, port, protocol)
  if (exact !== undefined) return exact
  if (!answersNodePorts(destination, plan.nodePortAddresses, world)) return undefined
  return findFrontend(plan, undefined, port, protocol)
}

function explainFound(
  plan: Plan,
  family: FamilyPlan,
  packet: Packet,
  world: NodeWorld,
  { port, frontend }: Found,
): Explanation {
  const client = clientKindOf(packet, family.localDetector, world)
  const match: FrontendMatch = { service: port.key, frontend, client }
  const steps: ExplanationStep[] = [
    { label: 'frontend', text: frontendText(port, frontend, packet.destination) },
  ]
  const end = (outcome: Outcome): Explanation => ({ steps, outcome, match })

  if (frontend.sources !== undefined) {
    const allowed = allowsSource(frontend.sources, packet.source)
    steps.push({ label: 'sources', text: filterText(frontend.sources, packet.source, allowed) })
    if (!allowed)
      return end({ kind: 'drop', because: 'the source is outside of the load balancer source ranges' })
  }

  if (frontend.proxyOnly && !frontend.steered) {
    steps.push({ label: 'steering', text: steeringText(port, frontend) })
    return end({ kind: 'reject' })
  }

  steps.push({ label: 'client', text: clientText(client, packet, family.localDetector) })
  const verdict = atHook(frontend.verdicts[client], plan, packet, world, frontend.kind)
  const pool = verdict.kind === 'forward' ? port[verdict.pool] : []
  steps.push({ label: 'verdict', text: verdictText(verdict, port, frontend, client) })
  switch (verdict.kind) {
    case 'reject':
      return end({ kind: 'reject' })
    case 'drop':
      return end({ kind: 'drop', because: 'no endpoint on this node, and the policy is Local' })
    case 'pass':
      return end({ kind: 'pass', because: 'no endpoint, and what the node itself sends is not rejected' })
    case 'forward':
  }
  steps.push(
    { label: 'endpoints', text: endpointsText(pool, port, frontend) },
    { label: 'steering', text: steeringText(port, frontend) },
    ...(frontend.steered ? port.tlsRoutes : []).map((entry) => ({
      label: 'route',
      text: tlsRouteText(entry),
    })),
  )
  return end({
    kind: 'forward',
    // Row 59: who reaches itself must not see its own address, whatever the policy says.
    endpoints: pool.map((endpoint) => ({
      endpoint,
      masquerade: verdict.masquerade || endpoint.ip === packet.source,
    })),
    steered: frontend.steered,
    failClosed: frontend.proxyOnly,
    affinitySeconds: port.affinitySeconds,
  })
}

/**
 * Row 56, iptables column: the chain that rejects and drops for external addresses hangs on INPUT and FORWARD alone. So
 * it misses what the node sends elsewhere, whatever its source, and catches what the node sends to an address of its own.
 */
function atHook(
  verdict: Verdict,
  plan: Plan,
  packet: Packet,
  world: NodeWorld,
  kind: Found['frontend']['kind'],
): Verdict {
  if (plan.options.semantics !== 'iptables' || kind === 'ClusterIP' || verdict.kind === 'forward')
    return verdict
  if (packet.inInterface === '' && !isLocalAddress(packet.destination, world)) return { kind: 'pass' }
  return verdict.kind === 'pass' ? { kind: 'reject' } : verdict
}

function pass(because: string): Explanation {
  return {
    steps: [{ label: 'frontend', text: because }],
    outcome: { kind: 'pass', because },
    match: undefined,
  }
}
