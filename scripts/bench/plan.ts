// Time to build a Plan: from nothing, and after a change of one Service.

import { buildPlan } from '../../agent/plan/build.ts'
import type { PlanOptions } from '../../agent/plan/plan.ts'
import { BENCH_NODE, madeUpCluster, withOneChange } from './cluster.ts'
import { spreadOf, type Spread } from './machine.ts'

export interface PlanFigures {
  readonly serviceCount: number
  readonly fullMs: Spread
  readonly changeMs: Spread
}

export const BENCH_PLAN_OPTIONS: PlanOptions = {
  nodeName: BENCH_NODE,
  families: ['IPv4'],
  semantics: 'iptables',
  masqueradeAll: false,
  localDetector: { kind: 'none' },
  nodePortAddresses: { kind: 'default' },
  localhostNodePorts: true,
  allowExternalIps: true,
  steer: 'auto',
  steering: { mechanism: 'off', proxyPort: 15001 },
}

const FULL_RUNS = 7
const CHANGE_RUNS = 50

export function measurePlan(serviceCount: number): PlanFigures {
  const cluster = madeUpCluster(serviceCount, 2)
  const full = Array.from(
    { length: FULL_RUNS },
    () => timed(() => buildPlan(cluster, BENCH_PLAN_OPTIONS)).elapsedMs,
  )

  let snapshot = cluster
  let plan = buildPlan(snapshot, BENCH_PLAN_OPTIONS)
  const change: number[] = []
  for (let round = 0; round < CHANGE_RUNS; round++) {
    const next = withOneChange(snapshot, (round * 997) % serviceCount, round)
    const built = timed(() => buildPlan(next, BENCH_PLAN_OPTIONS, { snapshot, plan }))
    // A fast wrong answer must not count: exactly one Service port may be a new object.
    const before = plan.families.IPv4?.ports
    const renewed = [...(built.value.families.IPv4?.ports ?? [])].filter(
      ([key, port]) => before?.get(key) !== port,
    )
    if (renewed.length !== 1) throw new Error(`one change renewed ${renewed.length} Service ports`)
    snapshot = next
    plan = built.value
    change.push(built.elapsedMs)
  }
  return { serviceCount, fullMs: spreadOf(full), changeMs: spreadOf(change) }
}

export function timed<T>(work: () => T): { value: T; elapsedMs: number } {
  const started = performance.now()
  const value = work()
  return { value, elapsedMs: performance.now() - started }
}
