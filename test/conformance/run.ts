// Runs the table of flows against a stage, whatever datapath it has: dials, and compares what clients and servers saw
// with what the table says.

import type { Seen } from '../support/lab/peer-messages.ts'
import { nodeAddress, nodeAddresses } from '../support/lab/topology.ts'
import { addressesOf, type LabFamily, type LabProtocol } from './objects.ts'
import {
  expectationText,
  OUTSIDE,
  sentence,
  type Expectation,
  type Flow,
  type Scenario,
  type SourceSeen,
} from './scenario.ts'
import { BEYOND, type Stage } from './stage.ts'

export interface Outcome {
  readonly scenario: Scenario
  readonly sentence: string
  readonly expected: string
  /** What came instead; undefined: what was expected. */
  readonly wrong: string | undefined
  /** To ask `shunt trace` about. */
  readonly from: string
  readonly destination: string
  readonly protocol: LabProtocol
}

interface Case {
  readonly scenario: Scenario
  readonly flow: Flow
  readonly family: LabFamily
  readonly protocol: LabProtocol
  readonly expect: Expectation
}

/** So many flows at a time: silent ones only wait. */
const PARALLEL = 8
const SILENCE_MS = 700
const ANSWER_MS = 4000

/** Every flow of the stage's setting, in the table's order. */
export async function runFlows(stage: Stage): Promise<readonly Outcome[]> {
  const cases = casesOf(stage)
  const outcomes: Outcome[] = Array<Outcome>(cases.length)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < cases.length; i = next++) {
      const given = cases[i]
      if (given !== undefined) outcomes[i] = await runCase(stage, given)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  return outcomes
}

function casesOf(stage: Stage): readonly Case[] {
  const { setting, steered } = stage.options
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

async function runCase(stage: Stage, given: Case): Promise<Outcome> {
  const { scenario, flow, family, protocol, expect } = given
  const address = destinationAddress(stage, scenario, flow, family)
  const port = destinationPort(scenario, flow)
  const peer = await stage.lab.peer(flow.from)
  const { clientOther } = stage.lab.topology
  const otherAddress = family === 'IPv4' ? clientOther.lanIpv4 : clientOther.lanIpv6
  const seen = await peer.connect(address, port, {
    protocol: protocol === 'TCP' ? 'tcp' : 'udp',
    count: flow.count ?? connectionsFor(expect),
    concurrency: 16,
    timeoutMs: expect.kind === 'silent' ? SILENCE_MS : ANSWER_MS,
    ...(flow.otherSource === true && flow.from === OUTSIDE ? { from: otherAddress } : {}),
  })
  return {
    scenario,
    sentence: sentence(scenario, flow, family, protocol),
    expected: expectationText(expect),
    wrong: differs(stage, given, seen),
    from: flow.from,
    destination: family === 'IPv4' ? `${address}:${port}` : `[${address}]:${port}`,
    protocol,
  }
}

/** Enough that a uniform draw misses an endpoint less than once in 10^9 runs. */
function connectionsFor(expect: Expectation): number {
  if (expect.kind === 'sticky') return 30
  if (expect.kind !== 'answered') return 3
  return [4, 4, 40, 70][Math.min(expect.by.length, 3)] ?? 70
}

/** How what was seen differs from what was expected, as text; undefined: not at all. */
function differs(stage: Stage, given: Case, seen: readonly Seen[]): string | undefined {
  const { expect } = given
  if (expect.kind === 'refused' || expect.kind === 'silent') {
    return seen.every((one) => one.kind === expect.kind) ? undefined : summary(seen)
  }
  const allowed = expect.kind === 'untouched' ? [BEYOND] : expect.kind === 'sticky' ? expect.oneOf : expect.by
  const asExpected = seen.every(
    (one) =>
      one.kind === 'answered' &&
      allowed.includes(one.by) &&
      isSource(stage, given, sourceFor(given, one.by), one.source),
  )
  if (!asExpected) return summary(seen)
  const counts = new Map<string, number>()
  for (const one of seen) if (one.kind === 'answered') counts.set(one.by, (counts.get(one.by) ?? 0) + 1)
  switch (expect.kind) {
    case 'untouched':
      return undefined
    case 'sticky':
      return counts.size === 1 ? undefined : summary(seen)
    case 'answered':
      return counts.size === allowed.length ? undefined : `not all of them: ${summary(seen)}`
    case 'shares': {
      const fair = seen.length / allowed.length
      const most = (expect.withinPoints / 100) * seen.length
      return allowed.every((name) => Math.abs((counts.get(name) ?? 0) - fair) <= most)
        ? undefined
        : summary(seen)
    }
  }
}

function sourceFor(given: Case, by: string): SourceSeen {
  const { expect, flow } = given
  if (expect.kind === 'answered' && expect.ofItself !== undefined && by === flow.from) return expect.ofItself
  return expect.kind === 'answered' || expect.kind === 'sticky' || expect.kind === 'shares'
    ? expect.source
    : 'client'
}

function isSource(stage: Stage, given: Case, want: SourceSeen, source: string): boolean {
  if (want === 'client') return clientAddresses(stage, given).includes(source)
  return nodeAddresses(stage.lab.node(want)).includes(source)
}

function clientAddresses(stage: Stage, given: Case): readonly string[] {
  const { from, otherSource } = given.flow
  if (from === OUTSIDE) {
    const own = otherSource === true ? stage.lab.topology.clientOther : stage.lab.topology.client
    return [own.lanIpv4, own.lanIpv6]
  }
  for (const node of stage.lab.topology.nodes) {
    if (node.name === from) return nodeAddresses(node)
    const pod = node.pods.find((candidate) => candidate.name === from)
    if (pod !== undefined) return [pod.ipv4, pod.ipv6]
  }
  throw new Error(`no place ${from} in the lab`)
}

function destinationAddress(stage: Stage, scenario: Scenario, flow: Flow, family: LabFamily): string {
  if (flow.to.kind === 'localhostNodePort') return family === 'IPv4' ? '127.0.0.1' : '::1'
  if (flow.to.kind === 'nodePort') return nodeAddress(stage.lab.node(flow.to.node), family)
  return addressesOf(scenario.service.number)[flow.to.kind][family]
}

function destinationPort(scenario: Scenario, flow: Flow): number {
  const { nodePort } = addressesOf(scenario.service.number)
  if (flow.to.kind === 'localhostNodePort') return nodePort
  return flow.to.kind === 'nodePort' ? nodePort + (flow.to.offset ?? 0) : (flow.port ?? 80)
}

/** `12 × answered by p11, who saw 10.244.1.1; 3 × refused` */
function summary(seen: readonly Seen[]): string {
  const counts = new Map<string, number>()
  for (const one of seen) {
    const text =
      one.kind === 'answered'
        ? `answered by ${one.by}, who saw ${one.source}`
        : one.kind === 'unreachable' || one.kind === 'broken'
          ? `${one.kind} (${one.code})`
          : one.kind
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return [...counts].map(([text, count]) => `${count} × ${text}`).join('; ')
}
