// The rows of the table, one by one: every flow for every family and protocol that it stands for, with the addresses
// that it uses.

import { nodeAddress, nodeAddresses, type NodeSpec, type Topology } from '../support/lab/topology.ts'
import type { Setting } from './flows.ts'
import { addressesOf, type LabFamily, type LabProtocol } from './objects.ts'
import { OUTSIDE, type Expectation, type Flow, type Scenario } from './scenario.ts'

export interface Case {
  readonly scenario: Scenario
  readonly flow: Flow
  readonly family: LabFamily
  readonly protocol: LabProtocol
  readonly expect: Expectation
}

/** Every row for every family and protocol that it stands for; only TCP is ever steered. */
export function casesOf(setting: Setting, steered: boolean): readonly Case[] {
  return setting.scenarios.flatMap((scenario) =>
    scenario.flows.flatMap((flow) =>
      (flow.families ?? (['IPv4', 'IPv6'] as const)).flatMap((family) =>
        (flow.protocols ?? (['TCP', 'UDP'] as const)).flatMap((protocol) =>
          // Only TCP is ever steered, so the rest has been seen without.
          steered && protocol !== 'TCP'
            ? []
            : [
                {
                  scenario,
                  flow,
                  family,
                  protocol,
                  expect: steered ? steeredExpectation(flow) : flow.expect,
                },
              ],
        ),
      ),
    ),
  )
}

/** What holds while the proxy takes the connection: the same endpoints, which see the node. */
function steeredExpectation(flow: Flow): Expectation {
  if (flow.whenSteered === 'same') return flow.expect
  if (flow.whenSteered !== undefined) return flow.whenSteered
  if (flow.expect.kind !== 'answered' || flow.expect.source !== 'client') return flow.expect
  return { kind: 'answered', by: flow.expect.by, source: 'node1' }
}

/** Addresses that a flow's client may have. */
export function clientAddresses(topology: Topology, flow: Flow): readonly string[] {
  const { from, otherSource } = flow
  if (from === OUTSIDE) {
    const own = otherSource === true ? topology.clientOther : topology.client
    return [own.lanIpv4, own.lanIpv6]
  }
  for (const node of topology.nodes) {
    if (node.name === from) return nodeAddresses(node)
    const pod = node.pods.find((candidate) => candidate.name === from)
    if (pod !== undefined) return [pod.ipv4, pod.ipv6]
  }
  throw new Error(`no place ${from} in the lab`)
}

export function destinationAddress(
  topology: Topology,
  scenario: Scenario,
  flow: Flow,
  family: LabFamily,
): string {
  if (flow.to.kind === 'localhostNodePort') return family === 'IPv4' ? '127.0.0.1' : '::1'
  if (flow.to.kind === 'nodePort') return nodeAddress(nodeOf(topology, flow.to.node), family)
  return addressesOf(scenario.service.number)[flow.to.kind][family]
}

export function destinationPort(scenario: Scenario, flow: Flow): number {
  const { nodePort } = addressesOf(scenario.service.number)
  if (flow.to.kind === 'localhostNodePort') return nodePort
  return flow.to.kind === 'nodePort' ? nodePort + (flow.to.offset ?? 0) : (flow.port ?? 80)
}

function nodeOf(topology: Topology, name: string): NodeSpec {
  const found = topology.nodes.find((node) => node.name === name)
  if (found === undefined) throw new Error(`no node ${name} in the topology`)
  return found
}
