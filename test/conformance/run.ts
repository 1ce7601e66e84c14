// Runs the table of flows against a stage, whatever datapath it has: dials, and compares what clients and servers saw
// with what the table says.

import type { Seen } from '../support/lab/peer-messages.ts'
import { nodeAddresses } from '../support/lab/topology.ts'
import type { LabProtocol } from './objects.ts'
import {
  expectationText,
  OUTSIDE,
  sentence,
  type Expectation,
  type Scenario,
  type SourceSeen,
} from './scenario.ts'
import { casesOf, clientAddresses, destinationAddress, destinationPort, type Case } from './cases.ts'
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

/** So many flows at a time: silent ones only wait. */
const PARALLEL = 8
const SILENCE_MS = 700
const ANSWER_MS = 4000

/** Every flow of the stage's setting, in the table's order. */
export async function runFlows(stage: Stage): Promise<readonly Outcome[]> {
  const cases = casesOf(stage.options.setting, stage.options.steered)
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

async function runCase(stage: Stage, given: Case): Promise<Outcome> {
  const { scenario, flow, family, protocol, expect } = given
  const address = destinationAddress(stage.lab.topology, scenario, flow, family)
  const port = destinationPort(scenario, flow)
  const peer = await stage.lab.peer(flow.from)
  const { clientOther } = stage.lab.topology
  const otherAddress = family === 'IPv4' ? clientOther.lanIpv4 : clientOther.lanIpv6
  const seen = await peer.connect(address, port, {
    protocol: protocol === 'TCP' ? 'tcp' : 'udp',
    count: flow.count ?? connectionsFor(expect),
    // Two first connections at once may both find no record of the client.
    concurrency: expect.kind === 'sticky' ? 1 : 16,
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
  if (want === 'client') return clientAddresses(stage.lab.topology, given.flow).includes(source)
  return nodeAddresses(stage.lab.node(want)).includes(source)
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
