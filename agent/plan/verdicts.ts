// What happens to a new connection to an address of a Service port, for each kind of client: rows 35 to 40 and 54 to 58.
// The hairpin of row 59 depends on the chosen endpoint and is everybody's; it is not a verdict.

import type { TrafficPolicy } from '../model/service.ts'
import type { FrontendKind, PlanOptions, Verdict, Verdicts } from './plan.ts'

/** All that verdicts depend on. */
export interface VerdictFacts {
  readonly semantics: PlanOptions['semantics']
  readonly masqueradeAll: boolean
  /** Pods can be told from others. */
  readonly hasDetector: boolean
  readonly hasEndpoints: boolean
  readonly hasLocalEndpoints: boolean
  readonly internalTrafficPolicy: TrafficPolicy
  readonly externalTrafficPolicy: TrafficPolicy
}

export function verdictsOf(kind: FrontendKind, facts: VerdictFacts): Verdicts {
  return kind === 'ClusterIP' ? internalVerdicts(facts) : externalVerdicts(kind, facts)
}

const REJECT: Verdict = { kind: 'reject' }
const DROP: Verdict = { kind: 'drop' }
const PASS: Verdict = { kind: 'pass' }

/** Rows 35, 54, 55, 57: the internal policy holds for every client alike, only the source address differs. */
function internalVerdicts(facts: VerdictFacts): Verdicts {
  if (!facts.hasEndpoints) return same(REJECT)
  const pool = facts.internalTrafficPolicy === 'Local' ? 'local' : 'cluster'
  // None here, but some elsewhere: silence (trap 1).
  if (pool === 'local' && !facts.hasLocalEndpoints) return same(DROP)
  // Without a detector nobody can be told to be no Pod, so nobody is masqueraded (trap 12).
  const stranger = forward(pool, facts.masqueradeAll || facts.hasDetector)
  return { pod: forward(pool, facts.masqueradeAll), host: stranger, outside: stranger }
}

/** Rows 36 to 39, 54 to 56, 58. */
function externalVerdicts(kind: FrontendKind, facts: VerdictFacts): Verdicts {
  if (!facts.hasEndpoints) {
    // Row 56: in the iptables column the rejecting chain is not on the way of what the node itself sends to another
    // address; a NodePort's address is the node's own, and there INPUT rejects.
    const host = facts.semantics === 'iptables' && kind !== 'NodePort' ? PASS : REJECT
    return { pod: REJECT, host, outside: REJECT }
  }
  // Even a Pod whose endpoint is on this node is masqueraded (trap 11).
  if (facts.externalTrafficPolicy === 'Cluster') return same(forward('cluster', true))
  return {
    // The short-circuit (rows 37, 38): clients inside the cluster are not what the Local policy is for.
    pod: forward('cluster', false),
    host: forward('cluster', true),
    outside: facts.hasLocalEndpoints ? forward('local', false) : DROP,
  }
}

function forward(pool: 'cluster' | 'local', masquerade: boolean): Verdict {
  return { kind: 'forward', pool, masquerade }
}

function same(verdict: Verdict): Verdicts {
  return { pod: verdict, host: verdict, outside: verdict }
}
