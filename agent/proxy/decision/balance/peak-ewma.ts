// Peak-EWMA with two random choices, Linkerd's: an endpoint costs what it is thought to need for a connection, times the
// connections it would have, by its weight.

import type { Balancer } from './balancer.ts'
import { twoChoices } from './two-choices.ts'

export const peakEwma: Balancer = (choosing, wanted) => {
  const { pool, traffic, policy, nowMs } = choosing
  return twoChoices(choosing, wanted, (index) => {
    const member = pool.members[index]
    if (member === undefined) return Infinity
    const load = traffic.active(member.key) + 1
    return (traffic.latencyMs(member.key, nowMs, policy.decayMs) * load) / pool.weight(index)
  })
}
