// Expected beside actual: what the plan says of a packet, what the kernel's rules do with it, and every way in which the
// two differ. Pure.

import type { Fate, Walk } from '../../datapath/iptables/walk.ts'
import { hostPort } from '../../model/ip.ts'
import { STEERED_MARK, STEERED_MATCH_MASK } from '../../model/steering-names.ts'
import type { Outcome, OutcomeEndpoint } from '../../plan/explanation.ts'
import type { SteeringFacts } from './steering-facts.ts'

export interface Comparison {
  /** Who takes a new connection at this moment, by the kernel's state. */
  readonly taker: Taker
  /** Each a sentence; empty: the kernel does what the plan says. */
  readonly differences: readonly string[]
}

export interface Taker {
  readonly kind: 'proxy' | 'kernel' | 'nobody'
  readonly because: string
}

/** Probabilities in rules are printed with ten digits. */
const PROBABILITY_TOLERANCE = 1e-6

export function compare(outcome: Outcome, walk: Walk, steering: SteeringFacts): Comparison {
  const proxied = walk.fates.filter(isProxied)
  const taker = takerOf(outcome, walk, steering)
  const differences = [...expectedDifferences(outcome, walk, steering)]
  // What the proxy has to do may be missing, that is what the kernel's own balancing is for; the agent's part may not.
  if (outcome.kind === 'forward' && outcome.steered)
    differences.push(
      ...steering.links.filter((link) => link.owner === 'agent' && !link.holds).map((link) => link.text),
    )
  if (proxied.length > 0 && proxied.length < walk.fates.length)
    differences.push('the rules steer the connection only sometimes')
  return { taker, differences }
}

/** True if the rules hand the packet to the proxy. */
export function isProxied(fate: Fate): boolean {
  return fate.end === 'delivered' && isMarked(fate)
}

function isMarked(fate: Fate): boolean {
  return (fate.mark & STEERED_MATCH_MASK) >>> 0 === STEERED_MARK
}

function expectedDifferences(outcome: Outcome, walk: Walk, steering: SteeringFacts): readonly string[] {
  const proxied = walk.fates.some(isProxied)
  switch (outcome.kind) {
    case 'reject':
      return all(walk, (fate) => fate.end === 'rejected', 'the plan rejects it')
    case 'drop':
      return all(walk, (fate) => fate.end === 'dropped', 'the plan drops it in silence')
    case 'pass':
      return all(
        walk,
        (fate) => fate.end === 'delivered' && !fate.translated && !isProxied(fate),
        'the plan leaves it alone',
      )
    case 'forward':
      if (!outcome.steered && proxied)
        return ['the kernel hands it to the proxy, though the plan does not steer it']
      if (outcome.steered && steering.ready && !proxied)
        return ['the plan steers it and the proxy is ready, but the rules do not hand it to the proxy']
      if (outcome.steered && proxied)
        return steering.ready ? [] : [`it is marked for a proxy that is not there: ${steering.because}`]
      if (outcome.steered && walk.fates.every((fate) => fate.end === 'rejected' && isMarked(fate)))
        return [`it is refused until the heartbeat of the proxy ends: ${steering.because}`]
      if (outcome.steered && outcome.failClosed)
        return all(
          walk,
          (fate) => fate.end === 'rejected',
          'its Service must not bypass the proxy, which is not ready',
        )
      return endpointDifferences(outcome.endpoints, outcome.affinitySeconds !== undefined, walk)
  }
}

function all(walk: Walk, expected: (fate: Fate) => boolean, plan: string): readonly string[] {
  const wrong = walk.fates.filter((fate) => !expected(fate))
  return wrong.length === 0
    ? []
    : [`${plan}, but the kernel ${[...new Set(wrong.map(fateText))].join(' or ')}`]
}

function endpointDifferences(
  expected: readonly OutcomeEndpoint[],
  affinity: boolean,
  walk: Walk,
): readonly string[] {
  const differences: string[] = []
  const wanted = new Map(expected.map((one) => [hostPort(one.endpoint.ip, one.endpoint.port), one]))
  const found = new Map<string, { probability: number; fate: Fate }>()
  for (const fate of walk.fates) {
    const name = hostPort(fate.destination.ip, fate.destination.port)
    if (fate.end !== 'delivered' || !wanted.has(name)) {
      differences.push(
        `with ${percent(fate.probability)} the kernel ${fateText(fate)}, which the plan does not say`,
      )
      continue
    }
    const before = found.get(name)?.probability ?? 0
    found.set(name, { probability: before + fate.probability, fate })
  }
  const share = 1 / expected.length
  // A client that affinity remembers always reaches the same endpoint.
  const remembered = affinity && found.size === 1
  for (const [name, { masquerade }] of wanted) {
    const actual = found.get(name)
    if (actual === undefined) {
      if (!remembered) differences.push(`the kernel never chooses ${name}`)
      continue
    }
    if (!remembered && Math.abs(actual.probability - share) > PROBABILITY_TOLERANCE)
      differences.push(
        `the kernel chooses ${name} with ${percent(actual.probability)} instead of ${percent(share)}`,
      )
    // A process of the node itself sees the client whatever the plan asks for: nothing is masqueraded on INPUT.
    if (!actual.fate.input && actual.fate.masqueraded !== masquerade)
      differences.push(
        `${name} sees ${sourceText(actual.fate.masqueraded)} as source, the plan says ${sourceText(masquerade)}`,
      )
  }
  return differences
}

function sourceText(masqueraded: boolean): string {
  return masqueraded ? 'the node' : 'the client'
}

function takerOf(outcome: Outcome, walk: Walk, steering: SteeringFacts): Taker {
  if (walk.fates.some(isProxied))
    return steering.ready
      ? { kind: 'proxy', because: steering.because }
      : { kind: 'nobody', because: `it is marked for the proxy, and ${steering.because}` }
  if (walk.fates.every((fate) => fate.end !== 'delivered')) {
    const waits = outcome.kind === 'forward' && outcome.steered && outcome.failClosed
    return {
      kind: 'nobody',
      because: waits ? `its Service must not bypass the proxy, and ${steering.because}` : 'it is refused',
    }
  }
  if (outcome.kind !== 'forward' || !outcome.steered) return { kind: 'kernel', because: 'it is not steered' }
  return { kind: 'kernel', because: steering.because }
}

/** What becomes of it, completing "the kernel …". */
export function fateText(fate: Fate): string {
  if (fate.end === 'dropped') return 'drops it'
  if (fate.end === 'rejected') return 'rejects it'
  if (isProxied(fate)) return 'hands it to the proxy'
  const source = fate.masqueraded ? ' with the node as source' : ''
  return fate.translated
    ? `sends it to ${hostPort(fate.destination.ip, fate.destination.port)}${source}`
    : 'leaves it alone'
}

export function percent(probability: number): string {
  return `${(probability * 100).toFixed(1)}%`
}
