// The rules and routes that bring marked packets to this host. README.md says why there are four rules.

import { FAMILIES, type Family, type Ip } from '../../model/ip.ts'
import {
  SELFTEST_IPV4,
  SELFTEST_IPV6,
  STEER_MARK_MASK,
  STEER_RULE_PRIORITY,
  STEER_TABLE,
  STEERED_MARK,
  STEERED_NODE_MARK,
} from '../../model/steering-names.ts'
import { MAIN_TABLE, type LoopbackRoute, type Rule } from '../../kernel/netlink/route.ts'
import type { Routing } from '../../kernel/routing.ts'

export interface PolicyRouting {
  /** Rules and table for marked packets, and the routes of the self-test. Repairs what is missing or wrong. */
  ensureMarked(families: readonly Family[]): void
  /** Only the routes of the self-test. */
  ensureSelfTest(families: readonly Family[]): void
  /** Rules and table for marked packets; connections that were steered by them then end. */
  removeMarked(): void
  removeSelfTest(): void
  /** Families whose rules and table are complete. */
  complete(families: readonly Family[]): Family[]
}

export function policyRouting(routing: Routing): PolicyRouting {
  return {
    ensureMarked(families) {
      for (const family of families) {
        routing.addRoute(markedRoute(family))
        const wanted = markedRules(family)
        const live = ours(routing.rules(family))
        for (const rule of live) if (!wanted.some((want) => sameRule(want, rule))) routing.deleteRule(rule)
        // The jump's target comes before the jump, and the jump before the rule that it leads around.
        for (const rule of [...wanted].toReversed()) routing.addRule(rule)
      }
    },
    ensureSelfTest(families) {
      for (const family of families) routing.addRoute(selfTestRoute(family))
    },
    removeMarked() {
      for (const family of FAMILIES) {
        ignoringMissingFamily(family, () => {
          for (const rule of ours(routing.rules(family))) routing.deleteRule(rule)
          for (const route of routing.loopbackRoutes(family))
            if (route.table === STEER_TABLE) routing.deleteRoute(route)
        })
      }
    },
    removeSelfTest() {
      for (const family of FAMILIES)
        ignoringMissingFamily(family, () => routing.deleteRoute(selfTestRoute(family)))
    },
    complete: (families) =>
      families.filter((family) => {
        const live = routing.rules(family)
        return (
          markedRules(family).every((want) => live.some((rule) => sameRule(want, rule))) &&
          routing.loopbackRoutes(family).some((route) => sameRoute(route, markedRoute(family)))
        )
      }),
  }
}

/** In the order of their priorities, the last one being the jump's target. */
export function markedRules(family: Family): readonly Rule[] {
  const node = { value: STEERED_NODE_MARK, mask: STEER_MARK_MASK }
  const forwarded = { value: STEERED_MARK, mask: STEER_MARK_MASK }
  const lookup = { kind: 'lookup', table: STEER_TABLE } as const
  const end = STEER_RULE_PRIORITY + 1
  return [
    { family, priority: STEER_RULE_PRIORITY - 2, mark: node, action: lookup },
    {
      family,
      priority: STEER_RULE_PRIORITY - 1,
      mark: forwarded,
      inputInterface: 'lo',
      action: { kind: 'goto', priority: end },
    },
    { family, priority: STEER_RULE_PRIORITY, mark: forwarded, action: lookup },
    { family, priority: end, action: { kind: 'nop' } },
  ]
}

function markedRoute(family: Family): LoopbackRoute {
  return { family, table: STEER_TABLE, type: 'local', destination: undefined }
}

/** Makes the address routable on a host without a default route; without the mark nothing answers there. */
function selfTestRoute(family: Family): LoopbackRoute {
  const destination = (family === 'IPv4' ? SELFTEST_IPV4 : SELFTEST_IPV6) as Ip
  return { family, table: MAIN_TABLE, type: 'unicast', destination }
}

/** By our table, or by our priorities together with a shape that only we write there. */
function ours(rules: readonly Rule[]): Rule[] {
  return rules.filter(
    ({ action, priority }) =>
      (action.kind === 'lookup' && action.table === STEER_TABLE) ||
      (Math.abs(priority - STEER_RULE_PRIORITY) <= 2 && (action.kind === 'goto' || action.kind === 'nop')),
  )
}

function sameRule(a: Rule, b: Rule): boolean {
  return (
    a.priority === b.priority &&
    a.mark?.value === b.mark?.value &&
    a.mark?.mask === b.mark?.mask &&
    a.inputInterface === b.inputInterface &&
    JSON.stringify(a.action) === JSON.stringify(b.action)
  )
}

function sameRoute(a: LoopbackRoute, b: LoopbackRoute): boolean {
  return a.table === b.table && a.type === b.type && a.destination === b.destination
}

function ignoringMissingFamily(family: Family, change: () => void): void {
  if (family === 'IPv4') {
    change()
    return
  }
  try {
    change()
  } catch {
    // A kernel without IPv6 refuses even to list; there is nothing of ours then.
  }
}
