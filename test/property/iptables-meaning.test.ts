// The rules that the iptables datapath writes mean what explain() says, for random Snapshots, options, nodes and
// packets: while the proxy lives and while it is dead, for remembered clients, and for clients that draw.

import test from 'ava'
import * as fc from 'fast-check'

import { NOTHING, changeBetween } from '#agent/datapath/iptables/changeset.ts'
import { DEFAULT_SETTINGS } from '#agent/datapath/iptables/context.ts'
import { endpointChain, servicePortSeed } from '#agent/datapath/iptables/names.ts'
import { createRenderer } from '#agent/datapath/iptables/render.ts'
import { restoreText } from '#agent/datapath/iptables/restore-text.ts'
import { messageOf } from '#agent/model/errors.ts'
import { familyOf, isLoopback, type Family } from '#agent/model/ip.ts'
import { PROXY_PORT, STEERED_MARK, STEERED_MATCH_MASK } from '#agent/model/steering-names.ts'
import { buildPlan } from '#agent/plan/build.ts'
import { explain } from '#agent/plan/explain.ts'
import type { Explanation } from '#agent/plan/explanation.ts'
import type { Packet } from '#agent/plan/packet.ts'
import type { FamilyPlan, Plan } from '#agent/plan/plan.ts'
import { arbitraryCase, type Case } from '../support/arbitrary.ts'
import { compileRules, type Fate, type RuleSet, type TraceWorld } from '../support/trace-iptables.ts'

const CASES = 2000
const PACKETS = 50

test(`what is written means what explain() says: ${CASES * PACKETS} packets`, (t) => {
  const kinds = new Map<string, number>()
  let failure = ''
  const details = fc.check(
    fc.property(arbitraryCase({ packets: PACKETS, semantics: 'iptables' }), (drawn) => {
      const plan = buildPlan(drawn.snapshot, drawn.options)
      const rules = written(plan)
      for (const packet of drawn.packets) {
        const verdict = judge(drawn, plan, rules, packet)
        kinds.set(verdict.kind, (kinds.get(verdict.kind) ?? 0) + 1)
        if (verdict.kind !== 'wrong') continue
        failure = `${verdict.why}\n${JSON.stringify([...drawn.snapshot.services.values()])}\n${JSON.stringify(drawn.options)}`
        return false
      }
      return true
    }),
    { numRuns: CASES },
  )
  if (details.failed)
    t.fail(
      `${failure}\nseed ${details.seed} path ${details.counterexamplePath} ${messageOf(details.errorInstance)}`,
    )
  t.log(Object.fromEntries(kinds))
  // A generator that never gets to a kind would prove nothing about it.
  for (const kind of ['forward', 'steered', 'fail closed', 'remembered', 'reject', 'drop', 'pass'])
    t.true((kinds.get(kind) ?? 0) > CASES / 10, kind)
})

interface Written {
  readonly rules: Readonly<Partial<Record<Family, RuleSet>>>
  readonly sets: TraceWorld['sets']
  readonly alive: TraceWorld['sets']
  /** What the program of sk_lookup knows, as `address port`, `node port`. */
  readonly keys: ReadonlySet<string>
}

function written(plan: Plan): Written {
  const want = createRenderer(DEFAULT_SETTINGS)(plan)
  const rules: Partial<Record<Family, RuleSet>> = {}
  for (const change of changeBetween(NOTHING, want).families)
    rules[change.family] = compileRules(restoreText(change))
  const alive = new Map<string, ReadonlySet<string>>(want.sets.members)
  alive.set('SHUNT-LIVE', new Set(['SHUNT-STEER-4', 'SHUNT-STEER-6']))
  alive.set('SHUNT-LIVE-NP', new Set(['SHUNT-STEER-NP']))
  const keys = new Set(want.sets.keys.map(({ ip, port }) => `${ip ?? 'node'} ${port}`))
  return { rules, sets: want.sets.members, alive, keys }
}

interface Judgement {
  readonly kind: string
  readonly why?: string
}

function judge(
  { world, options }: Case,
  plan: Plan,
  { rules, sets, alive, keys }: Written,
  packet: Packet,
): Judgement {
  const family = familyOf(packet.destination)
  const [ruleSet, familyPlan] = [rules[family], plan.families[family]]
  if (ruleSet === undefined || familyPlan === undefined) throw new Error(`no rules for ${family}`)
  const explanation = explain(plan, packet, world)
  const { outcome, match } = explanation
  // An endpoint at the very address that was dialled: nat has nothing to change, so filter cannot tell who was let
  // through, and refuses all if it refuses somebody. kube-proxy's rules do the same.
  if (isItsOwnEndpoint(explanation, packet)) return { kind: 'its own endpoint' }
  const { mechanism } = options.steering
  const delivery = mechanism === 'sk_lookup' ? { value: STEERED_MARK, mask: STEERED_MATCH_MASK } : undefined
  const proxyIp = familyPlan.nodeAddresses[0]
  const canSteer = mechanism === 'sk_lookup' || proxyIp !== undefined
  const failClosed = outcome.kind === 'forward' && outcome.failClosed
  const steered = outcome.kind === 'forward' && outcome.steered && canSteer
  const guarded = isGuarded(packet, familyPlan)

  const compare = (
    proxy: 'alive' | 'dead',
    expected: readonly string[],
    recent?: string,
  ): Judgement | undefined => {
    const traceWorld: TraceWorld = {
      isLocal: (ip) => isLoopback(ip) || world.localAddresses.has(ip),
      sets: proxy === 'alive' ? alive : sets,
      hasListener: ({ ip, port, protocol }) =>
        proxy === 'alive' && protocol === 'tcp' && (keys.has(`${ip} ${port}`) || keys.has(`node ${port}`)),
      recent: new Set(recent === undefined ? [] : [recent]),
    }
    const found = summary(ruleSet.trace(packet, traceWorld, delivery))
    if (JSON.stringify(found) === JSON.stringify(expected.toSorted())) return undefined
    const steps = explanation.steps.map(({ label, text }) => `${label}: ${text}`)
    const facts = [`rules: ${JSON.stringify(found)}`, `plan: ${JSON.stringify(expected)}`, ...steps]
    return { kind: 'wrong', why: [`proxy ${proxy}: ${JSON.stringify(packet)}`, ...facts].join('\n') }
  }
  const kernels =
    guarded && (outcome.kind !== 'forward' || failClosed)
      ? ['dropped 1']
      : failClosed
        ? ['rejected 1']
        : expectation(explanation)
  const wrong = compare('dead', kernels)
  if (wrong !== undefined) return wrong
  if (steered) {
    const proxys =
      mechanism === 'dnat'
        ? `steered to ${proxyIp} ${PROXY_PORT} 1`
        : `steered to ${packet.destination} ${packet.port} 1`
    const guardedToo = guarded && mechanism === 'sk_lookup'
    return (
      compare('alive', guardedToo ? ['dropped 1'] : [proxys]) ?? {
        kind: failClosed ? 'fail closed' : 'steered',
      }
    )
  }
  // Nobody is to answer here, and the program would give it to the proxy: refused at once.
  const strayNodePort =
    outcome.kind === 'pass' &&
    packet.protocol === 'TCP' &&
    (keys.has(`${packet.destination} ${packet.port}`) || keys.has(`node ${packet.port}`)) &&
    (isLoopback(packet.destination) || world.localAddresses.has(packet.destination))
  const wrongAlive = compare('alive', strayNodePort && !guarded ? ['rejected 1'] : kernels)
  if (wrongAlive !== undefined) return wrongAlive
  if (outcome.kind !== 'forward' || outcome.affinitySeconds === undefined || failClosed) return outcome
  const port = match === undefined ? undefined : familyPlan.ports.get(match.service)
  const known = outcome.endpoints.at(-1)
  if (port === undefined || known === undefined) throw new Error('an outcome without its match')
  const chain = endpointChain(servicePortSeed(port), known.endpoint)
  const only: Explanation = { ...explanation, outcome: { ...outcome, endpoints: [known] } }
  return compare('dead', expectation(only), chain) ?? { kind: 'remembered' }
}

function isItsOwnEndpoint({ outcome }: Explanation, { destination, port }: Packet): boolean {
  return (
    outcome.kind === 'forward' &&
    outcome.endpoints.some(({ endpoint }) => endpoint.ip === destination && endpoint.port === port)
  )
}

/** Row 20: to loopback from elsewhere, if nat did not send it on; what is not for a Service is dropped too. */
function isGuarded({ source, destination }: Packet, { family, nodePortAddresses }: FamilyPlan): boolean {
  const { loopback } = nodePortAddresses
  const reachable =
    nodePortAddresses.kind === 'allLocal' || nodePortAddresses.cidrs.some((cidr) => cidr.startsWith('127.'))
  return family === 'IPv4' && loopback && reachable && isLoopback(destination) && !isLoopback(source)
}

/** What must happen, one line per fate with its probability in millionths. */
function expectation({ outcome }: Explanation): string[] {
  switch (outcome.kind) {
    case 'pass':
      return ['untouched 1']
    case 'reject':
      return ['rejected 1']
    case 'drop':
      return ['dropped 1']
    case 'forward': {
      const share = 1 / outcome.endpoints.length
      return outcome.endpoints.map(
        ({ endpoint, masquerade }) =>
          `${endpoint.ip} ${endpoint.port} ${masquerade ? 'masqueraded' : 'as it is'} ${round(share)}`,
      )
    }
  }
}

/** Fates that look alike are one. */
function summary(fates: readonly Fate[]): string[] {
  const sums = new Map<string, number>()
  for (const fate of fates) {
    const what = nameOf(fate)
    sums.set(what, (sums.get(what) ?? 0) + fate.probability)
  }
  return [...sums].map(([what, sum]) => `${what} ${round(sum)}`).sort()
}

function nameOf(fate: Fate): string {
  if (fate.kind !== 'delivered') return fate.kind
  if ((fate.mark & STEERED_MATCH_MASK) === STEERED_MARK)
    return `steered to ${fate.ip} ${fate.port}${fate.here ? '' : ' and lost'}`
  // A packet from elsewhere to an endpoint on the node itself is not forwarded, so its mark stays and nothing is rewritten.
  const masqueraded = fate.masqueraded || (fate.here && (fate.mark & DEFAULT_SETTINGS.masqueradeMark) !== 0)
  if (!fate.translated && !masqueraded) return 'untouched'
  return `${fate.ip} ${fate.port} ${masqueraded ? 'masqueraded' : 'as it is'}`
}

function round(probability: number): number {
  return Math.round(probability * 1e6) / 1e6
}
