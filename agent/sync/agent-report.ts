// Gathers what the parts of a running agent know into the answers of its servers.

import type { Problem } from '../model/errors.ts'
import type { Node } from '../model/node.ts'
import type { Plan, SteeringReason } from '../plan/plan.ts'
import type { Snapshot } from '../plan/snapshot.ts'
import type { Reconciler } from './reconciler.ts'
import { agentStatus, countProblems, type AgentStatus, type DatapathStatus } from './status.ts'
import type { SteeringRunner } from './steering-runner.ts'
import type { ViewServer } from './view-server.ts'

export interface ReportParts {
  readonly version: string
  readonly pid: number
  readonly startedAtMs: number
  readonly syncPeriodMs: number
  /** The manifests folder. */
  readonly place: string
  readonly datapath: DatapathStatus
  readonly source: { snapshot(): Snapshot; synced(): boolean; problems(): readonly Problem[] }
  readonly reconciler: Pick<Reconciler, 'state' | 'plan' | 'snapshot'>
  readonly views: Pick<ViewServer, 'proxies'>
  readonly steering: Pick<SteeringRunner, 'status'>
  /** The Node of a host that no object describes. */
  readonly hostNode: () => Node
  readonly setbacks: () => readonly string[]
}

export function reportStatus(parts: ReportParts, nowMs: number): AgentStatus {
  const { source, reconciler } = parts
  const snapshot = source.snapshot()
  const node = snapshot.node ?? parts.hostNode()
  return agentStatus({
    nowMs,
    version: parts.version,
    pid: parts.pid,
    startedAtMs: parts.startedAtMs,
    syncPeriodMs: parts.syncPeriodMs,
    node: {
      name: node.name,
      origin: snapshot.node === undefined ? 'host' : 'object',
      addresses: node.addresses,
      podCidrs: node.podCidrs,
    },
    source: {
      kind: 'manifests',
      place: parts.place,
      synced: source.synced(),
      services: snapshot.services.size,
      slices: [...snapshot.slices.values()].reduce((sum, slices) => sum + slices.length, 0),
      problems: countProblems(source.problems()),
    },
    datapath: parts.datapath,
    sync: reconciler.state(),
    steering: parts.steering.status(),
    proxies: parts.views.proxies(),
    setbacks: parts.setbacks(),
    ...steered(reconciler.plan()),
  })
}

/** For the health server. */
export function reportHealth({ reconciler, startedAtMs, syncPeriodMs, datapath }: ReportParts) {
  const { pendingSinceMs, lastSuccessAtMs } = reconciler.state()
  const node = reconciler.snapshot()?.node
  return { families: datapath.families, syncPeriodMs, pendingSinceMs, lastSuccessAtMs, startedAtMs, node }
}

function steered(plan: Plan | undefined): Pick<AgentStatus, 'steeredFrontends' | 'steeredBy'> {
  const steeredBy: Partial<Record<SteeringReason, number>> = {}
  let steeredFrontends = 0
  for (const family of Object.values(plan?.families ?? {}))
    for (const { steering, frontends } of family.ports.values()) {
      if (steering.kind !== 'steered') continue
      const count = frontends.filter((each) => each.steered).length
      steeredFrontends += count
      steeredBy[steering.because] = (steeredBy[steering.because] ?? 0) + count
    }
  return { steeredFrontends, steeredBy }
}
