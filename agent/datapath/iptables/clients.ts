// How rules tell the three kinds of clients apart: pods by the local detector (row 64), then the host by its source
// address, then everybody else.

import { prefixLengthOf } from '../../model/cidr.ts'
import type { ClientKind, LocalDetector } from '../../plan/plan.ts'
import { from, notFrom, SOURCE_IS_LOCAL, SOURCE_IS_NOT_LOCAL, type RuleParts } from './rule.ts'

/** What a rule has to match to be about some of the clients. */
export type ClientMatch = Pick<RuleParts, 'source' | 'inInterface' | 'early'>

/** The kinds that exist on this node, in the order in which they are tried. */
export function clientKinds(detector: LocalDetector): readonly ClientKind[] {
  if (detector.kind === 'none') return ['host', 'outside']
  // A range of everything leaves nobody who is not a Pod.
  return detector.kind === 'cidr' && prefixLengthOf(detector.cidr) === 0
    ? ['pod']
    : ['pod', 'host', 'outside']
}

/** One value per kind of client, as a list of matches; kinds without a value are not matched by any. */
export interface ClientRule<V> {
  readonly match: ClientMatch
  readonly value: V
}

/**
 * The fewest matches that are right whatever the target does with the packet (they exclude each other, except where two
 * of them have the same value): all alike is no match at all, "not a Pod" is one match.
 */
export function exclusiveRules<V>(
  detector: LocalDetector,
  valueOf: (kind: ClientKind) => V | undefined,
): ClientRule<V>[] {
  const kinds = clientKinds(detector)
  const rules: ClientRule<V>[] = []
  const pod = kinds.includes('pod') ? valueOf('pod') : undefined
  const host = kinds.includes('host') ? valueOf('host') : undefined
  const outside = kinds.includes('outside') ? valueOf('outside') : undefined
  const strangers = kinds.includes('host')
  if (pod !== undefined && (!strangers || (pod === host && host === outside)))
    return [{ match: {}, value: pod }]
  if (pod !== undefined && detector.kind !== 'none') rules.push({ match: isPod(detector), value: pod })
  const notPod = detector.kind === 'none' ? {} : isNotPod(detector)
  if (host !== undefined && host === outside) return [...rules, { match: notPod, value: host }]
  if (host !== undefined) rules.push({ match: { ...notPod, early: SOURCE_IS_LOCAL }, value: host })
  if (outside !== undefined) rules.push({ match: { ...notPod, early: SOURCE_IS_NOT_LOCAL }, value: outside })
  return rules
}

/** Matches packets of Pods. Not for detector none. */
export function isPod(detector: Exclude<LocalDetector, { kind: 'none' }>): ClientMatch {
  switch (detector.kind) {
    case 'cidr':
      return prefixLengthOf(detector.cidr) === 0 ? {} : { source: from(detector.cidr) }
    case 'interface':
      return { inInterface: `-i ${detector.name}` }
    case 'interfacePrefix':
      return { inInterface: `-i ${detector.prefix}+` }
  }
}

function isNotPod(detector: Exclude<LocalDetector, { kind: 'none' }>): ClientMatch {
  switch (detector.kind) {
    case 'cidr': {
      const source = notFrom(detector.cidr)
      return source === undefined ? {} : { source }
    }
    case 'interface':
      return { inInterface: `! -i ${detector.name}` }
    case 'interfacePrefix':
      return { inInterface: `! -i ${detector.prefix}+` }
  }
}
