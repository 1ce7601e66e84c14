// The rules that no Service owns: heads and tails of the shared chains, masquerading, forwarding. Their
// number does not depend on the number of Services.

import { STEERED_MARK, STEERED_MATCH_MASK } from '../../model/steering-names.ts'
import type { FamilyContext } from './context.ts'
import {
  KUBE_EXTERNAL_SERVICES,
  KUBE_FORWARD,
  KUBE_MARK_MASQ,
  KUBE_NODEPORTS,
  KUBE_POSTROUTING,
  KUBE_PROXY_CANARY,
  KUBE_PROXY_FIREWALL,
  KUBE_SERVICES,
  type TableName,
} from './names.ts'
import { ctState, DESTINATION_IS_LOCAL, lines, mark, notMark, rule, setMark } from './rule.ts'
import type { SharedChain } from './shared-lines.ts'
import { steeredInNat, steerRules } from './steer-rules.ts'

/** `table chain` to its lines; shared chains have a head and a tail around the Services' lines. */
export interface FixedRules {
  readonly chains: ReadonlyMap<`${TableName} ${string}`, string>
  readonly heads: Readonly<Partial<Record<SharedChain, string>>>
  readonly tails: Readonly<Partial<Record<SharedChain, string>>>
}

export function fixedRules(context: FamilyContext): FixedRules {
  const { masqueradeMark, dropInvalid } = context.settings
  const chains = new Map<`${TableName} ${string}`, string>([
    [`mangle ${KUBE_PROXY_CANARY}`, ''],
    [`nat ${KUBE_PROXY_CANARY}`, ''],
    [`filter ${KUBE_PROXY_CANARY}`, ''],
    [
      `nat ${KUBE_MARK_MASQ}`,
      lines(rule(KUBE_MARK_MASQ, { target: setMark('MARK', masqueradeMark, masqueradeMark) })),
    ],
    [`nat ${KUBE_POSTROUTING}`, postrouting(masqueradeMark)],
    [`filter ${KUBE_FORWARD}`, forward(masqueradeMark, dropInvalid)],
  ])
  for (const [key, text] of steerRules(context)) chains.set(key, text)
  const steered = steeredInNat(context)
  return {
    chains,
    heads: {
      ...(steered === undefined ? {} : { [`nat ${KUBE_SERVICES}`]: steered }),
      [`filter ${KUBE_SERVICES}`]: passTranslated(KUBE_SERVICES, context),
      [`filter ${KUBE_EXTERNAL_SERVICES}`]: passTranslated(KUBE_EXTERNAL_SERVICES, context),
      [`filter ${KUBE_PROXY_FIREWALL}`]: passTranslated(KUBE_PROXY_FIREWALL, context),
    },
    tails: { [`nat ${KUBE_SERVICES}`]: nodePorts(context) },
  }
}

/**
 * What nat has sent to an endpoint is not refused, although the endpoint may have the very address of another Service,
 * such as an external IP that is the node's. What dnat has sent to the proxy still has to meet the source ranges.
 */
function passTranslated(chain: string, { mechanism }: FamilyContext): string {
  const proxys = mechanism === 'dnat' ? notMark(STEERED_MARK, STEERED_MATCH_MASK) : undefined
  return lines(
    rule(chain, {
      comment: 'already on the way to an endpoint',
      matches: [ctState('DNAT'), proxys],
      target: '-j RETURN',
    }),
  )
}

/** Rows 60, 61: the mark is cleared right before, so that an encapsulated packet is not masqueraded again. */
function postrouting(masqueradeMark: number): string {
  return lines(
    rule(KUBE_POSTROUTING, { matches: [notMark(masqueradeMark, masqueradeMark)], target: '-j RETURN' }),
    rule(KUBE_POSTROUTING, { target: setMark('MARK', masqueradeMark, 0) }),
    rule(KUBE_POSTROUTING, {
      comment: 'kubernetes service traffic requiring SNAT',
      target: '-j MASQUERADE --random-fully',
    }),
  )
}

/** Rows 62, 63. */
function forward(masqueradeMark: number, dropInvalid: boolean): string {
  const invalid = rule(KUBE_FORWARD, { matches: [ctState('INVALID')], target: '-j DROP' })
  return lines(
    ...(dropInvalid ? [invalid] : []),
    rule(KUBE_FORWARD, {
      comment: 'kubernetes forwarding rules',
      matches: [mark(masqueradeMark, masqueradeMark)],
      target: '-j ACCEPT',
    }),
    rule(KUBE_FORWARD, {
      comment: 'kubernetes forwarding conntrack rule',
      matches: [ctState('RELATED,ESTABLISHED')],
      target: '-j ACCEPT',
    }),
  )
}

/** Row 15: after all rules for addresses. */
function nodePorts(context: FamilyContext): string {
  return lines(
    ...context.nodePortDestinations.map((destination) =>
      rule(KUBE_SERVICES, {
        destination,
        comment: 'kubernetes service nodeports; NOTE: this must be the last rule in this chain',
        matches: [DESTINATION_IS_LOCAL],
        target: `-j ${KUBE_NODEPORTS}`,
      }),
    ),
  )
}
