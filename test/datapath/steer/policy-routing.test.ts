// Policy routing on a table that is kept by hand: what is repaired, in which order, and what is left alone.

import test from 'ava'

import { markedRules, policyRouting } from '#agent/datapath/steer/policy-routing.ts'
import type { LoopbackRoute, Rule } from '#agent/kernel/netlink/route.ts'
import type { Routing } from '#agent/kernel/routing.ts'

const FOREIGN: Rule = { family: 'IPv4', priority: 5389, action: { kind: 'lookup', table: 100 } }

test('from nothing: the route first, then the rules from the end, so that no packet is sent astray between', (t) => {
  const table = fakeRouting()
  policyRouting(table).ensureMarked(['IPv4'])
  t.deepEqual(table.log, ['+route 5390', '+rule 5391', '+rule 5390', '+rule 5389', '+rule 5388'])
  t.deepEqual(policyRouting(table).complete(['IPv4', 'IPv6']), ['IPv4'])
})

test('a second time nothing is written', (t) => {
  const table = fakeRouting()
  policyRouting(table).ensureMarked(['IPv4', 'IPv6'])
  table.log.length = 0
  policyRouting(table).ensureMarked(['IPv4', 'IPv6'])
  t.deepEqual(table.log, [])
})

test('rules of ours that differ are replaced; those of others with the same priority stay', (t) => {
  const old: Rule = {
    family: 'IPv4',
    priority: 5390,
    mark: { value: 1, mask: 1 },
    action: { kind: 'lookup', table: 5390 },
  }
  const table = fakeRouting([FOREIGN, old])
  policyRouting(table).ensureMarked(['IPv4'])
  t.true(table.log.includes('-rule 5390'))
  t.true(table.rules('IPv4').includes(FOREIGN))
  t.deepEqual(policyRouting(table).complete(['IPv4']), ['IPv4'])
})

test('removing takes everything of ours and nothing else', (t) => {
  const table = fakeRouting([FOREIGN])
  const routes = policyRouting(table)
  routes.ensureMarked(['IPv4', 'IPv6'])
  routes.ensureSelfTest(['IPv4', 'IPv6'])
  routes.removeMarked()
  routes.removeSelfTest()
  t.deepEqual([table.rules('IPv4'), table.rules('IPv6')], [[FOREIGN], []])
  t.deepEqual([table.loopbackRoutes('IPv4'), table.loopbackRoutes('IPv6')], [[], []])
})

test('the mark of a forwarded packet is not followed for the reverse lookup, whose input is lo', (t) => {
  const [node, reverse, forwarded, end] = markedRules('IPv6')
  t.is(node?.inputInterface, undefined)
  t.like(reverse, { inputInterface: 'lo', action: { kind: 'goto', priority: end?.priority } })
  t.deepEqual(reverse?.mark, forwarded?.mark)
})

interface FakeRouting extends Routing {
  readonly log: string[]
}

function fakeRouting(initial: readonly Rule[] = []): FakeRouting {
  let rules = [...initial]
  let routes: LoopbackRoute[] = []
  const log: string[] = []
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
  const note = (happened: boolean, line: string): boolean => {
    if (happened) log.push(line)
    return happened
  }
  return {
    log,
    rules: (family) => rules.filter((rule) => rule.family === family),
    loopbackRoutes: (family) => routes.filter((route) => route.family === family),
    addRule: (rule) => {
      if (rules.some((other) => same(rule, other))) return false
      rules.push(rule)
      return note(true, `+rule ${rule.priority}`)
    },
    deleteRule: (rule) => {
      const left = rules.filter((other) => !same(rule, other))
      const gone = left.length < rules.length
      rules = left
      return note(gone, `-rule ${rule.priority}`)
    },
    addRoute: (route) => {
      if (routes.some((other) => same(route, other))) return false
      routes.push(route)
      return note(true, `+route ${route.table}`)
    },
    deleteRoute: (route) => {
      const left = routes.filter((other) => !same(route, other))
      const gone = left.length < routes.length
      routes = left
      return note(gone, `-route ${route.table}`)
    },
  }
}
