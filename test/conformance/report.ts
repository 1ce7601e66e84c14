// What a failed flow is reported with: its sentence, what the table says, what came, what `shunt trace` says about
// it, and the counters of the rules of its Service.

import { shunt } from '../support/lab/shunt.ts'
import type { Outcome } from './run.ts'
import { NODE, OTHER_NODE } from './scenario.ts'
import type { Stage } from './stage.ts'

const TRACED = 3

/** One text for all failures; the first few with what the node knows. */
export async function failureReport(stage: Stage, outcomes: readonly Outcome[]): Promise<string> {
  const failed = outcomes.filter((outcome) => outcome.wrong !== undefined)
  const lines = [`${failed.length} of ${outcomes.length} flows are not as the table says`]
  for (const [i, outcome] of failed.entries()) {
    lines.push(
      '',
      `✘ ${outcome.sentence}`,
      `  expected  ${outcome.expected}`,
      `  seen      ${outcome.wrong}`,
      `  rows      ${outcome.scenario.rows.join(', ')} of the parity table`,
    )
    if (i < TRACED) lines.push(...(await evidence(stage, outcome)))
  }
  return lines.join('\n')
}

async function evidence(stage: Stage, outcome: Outcome): Promise<readonly string[]> {
  const isOther = stage.lab.node(OTHER_NODE).pods.some((pod) => pod.name === outcome.from)
  const node = isOther ? OTHER_NODE : NODE
  const source = addressOf(stage, outcome)
  const trace = await shunt(
    stage.lab,
    node,
    'trace',
    source,
    outcome.destination,
    '--proto',
    outcome.protocol.toLowerCase(),
  )
  const lines = [`  $ shunt trace ${source} ${outcome.destination}`, indent(trace.stdout + trace.stderr)]
  const program = outcome.destination.startsWith('[') ? 'ip6tables' : 'iptables'
  const variant = stage.options.flags.includes('legacy') ? 'legacy' : 'nft'
  const rules = await stage.lab.exec(node, [`/usr/sbin/${program}-${variant}-save`, '-c'], { mayFail: true })
  const name = `default/${outcome.scenario.service.name}`
  lines.push(
    `  $ ${program}-${variant}-save -c | grep ${name}`,
    indent(
      rules.stdout
        .split('\n')
        .filter((line) => line.includes(`${name}:`) || line.includes(`${name} `))
        .slice(0, 40)
        .join('\n'),
    ),
  )
  return lines
}

function addressOf(stage: Stage, outcome: Outcome): string {
  const v6 = outcome.destination.startsWith('[')
  for (const node of stage.lab.topology.nodes) {
    if (node.name === outcome.from) return v6 ? node.lanIpv6 : node.lanIpv4
    const pod = node.pods.find((candidate) => candidate.name === outcome.from)
    if (pod !== undefined) return v6 ? pod.ipv6 : pod.ipv4
  }
  const { lanIpv4, lanIpv6 } = stage.lab.topology.client
  return v6 ? lanIpv6 : lanIpv4
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n')
}
