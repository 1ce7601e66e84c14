// Least connections, Envoy's least request: with equal weights the one of two random choices that has fewer open
// connections; with unequal ones a rotation in which a member comes in proportion to weight / (connections + 1).

import type { Balancer } from './balancer.ts'
import { firstThenAny, rotationOf } from './round-robin.ts'
import { twoChoices } from './two-choices.ts'

export const leastConnections: Balancer = (choosing, wanted) => {
  const { pool, traffic, draw } = choosing
  const openTo = (index: number): number => {
    const member = pool.members[index]
    return member === undefined ? 0 : traffic.active(member.key)
  }
  if (pool.weights === undefined) return twoChoices(choosing, wanted, openTo)
  // As Envoy, the weight of the moment in which a member had its turn, the connection that it gets then among them.
  const first = rotationOf(choosing).nextAfter((index) => (openTo(index) + 1) / pool.weight(index))
  return firstThenAny(pool, first, wanted, draw)
}
