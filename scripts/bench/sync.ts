// Time of a full sync and of a one-Service sync on the real kernel, in a network namespace of its own: what the
// kernel program takes, and what the agent adds (plan, render, difference, text).

import { systemClock } from '../../agent/kernel/clock.ts'
import { createIptablesDatapath } from '../../agent/datapath/iptables/datapath.ts'
import { buildPlan } from '../../agent/plan/build.ts'
import { fakeSteering } from '../../test/support/fake-steering.ts'
import { testNamespace } from '../../test/support/netns-runner.ts'
import { quietLog } from '../../test/support/quiet-log.ts'
import { madeUpCluster, withOneChange } from './cluster.ts'
import { spreadOf, type Spread } from './machine.ts'
import { BENCH_PLAN_OPTIONS } from './plan.ts'

export interface SyncFigures {
  readonly variant: 'nft' | 'legacy'
  readonly serviceCount: number
  readonly full: SyncTimes
  readonly change: SyncTimes
}

export interface SyncTimes {
  readonly totalMs: Spread
  /** iptables-restore, from its start to its end. */
  readonly programMs: Spread
  /** The rest. */
  readonly agentMs: Spread
}

const CHANGES = 15
/** Each full sync gets a fresh namespace. The nft variant takes minutes for a large one: then once has to do. */
function fullLoads(variant: 'nft' | 'legacy', serviceCount: number): number {
  return variant === 'nft' && serviceCount >= 10_000 ? 1 : 3
}

export async function measureSync(variant: 'nft' | 'legacy', serviceCount: number): Promise<SyncFigures> {
  const fullRuns: Sample[] = []
  const changeRuns: Sample[] = []
  const runs = fullLoads(variant, serviceCount)
  for (let run = 0; run < runs; run++) {
    const namespace = await testNamespace()
    try {
      const datapath = createIptablesDatapath({
        runner: namespace.runner,
        steering: fakeSteering(['IPv4']),
        clock: systemClock,
        log: quietLog(),
        variant,
      })
      const signal = AbortSignal.timeout(300_000)
      let snapshot = madeUpCluster(serviceCount, 2)

      let started = performance.now()
      let plan = buildPlan(snapshot, BENCH_PLAN_OPTIONS)
      let live = datapath.render(plan)
      // Reading an unknown kernel is part of a first sync, and so of the agent's share.
      const report = await datapath.commit(datapath.change(undefined, live), signal)
      fullRuns.push(sample(performance.now() - started, report.kernelMs.IPv4))

      // The last namespace carries the one-Service changes.
      const changes = run === runs - 1 ? CHANGES : 0
      for (let round = 0; round < changes; round++) {
        const next = withOneChange(snapshot, (round * 997) % serviceCount, round)
        started = performance.now()
        const nextPlan = buildPlan(next, BENCH_PLAN_OPTIONS, { snapshot, plan })
        const want = datapath.render(nextPlan)
        const change = datapath.change(live, want)
        const { kernelMs } = await datapath.commit(change, signal)
        changeRuns.push(sample(performance.now() - started, kernelMs.IPv4))
        if (change.size === 0) throw new Error('a changed endpoint made no change')
        snapshot = next
        plan = nextPlan
        live = want
      }
      const drift = datapath.change(await datapath.read(signal), live)
      if (drift.size !== 0)
        throw new Error(`the kernel differs after the run:\n${drift.toString().slice(0, 2000)}`)
    } finally {
      await namespace.close()
    }
  }
  return { variant, serviceCount, full: timesOf(fullRuns), change: timesOf(changeRuns) }
}

interface Sample {
  readonly totalMs: number
  readonly programMs: number
}

function sample(totalMs: number, programMs: number | undefined): Sample {
  if (programMs === undefined) throw new Error('the commit report names no program time')
  return { totalMs, programMs }
}

function timesOf(samples: readonly Sample[]): SyncTimes {
  return {
    totalMs: spreadOf(samples.map((one) => one.totalMs)),
    programMs: spreadOf(samples.map((one) => one.programMs)),
    agentMs: spreadOf(samples.map((one) => one.totalMs - one.programMs)),
  }
}
