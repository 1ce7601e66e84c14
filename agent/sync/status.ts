// What `shunt status` and GET /status say of the agent, and the judgement: ready, or degraded and why. Pure; plain JSON.

import type { DatapathName } from '../datapath/datapath.ts'
import type { Problem } from '../model/errors.ts'
import type { Family, Ip } from '../model/ip.ts'
import type { Cidr } from '../model/cidr.ts'
import type { SteeringReason } from '../plan/plan.ts'
import type { ConnectedProxy } from './view-server.ts'
import type { SteeringStatus } from './steering-runner.ts'
import type { SyncState } from './sync-record.ts'

export interface AgentFacts {
  readonly version: string
  readonly pid: number
  readonly startedAtMs: number
  readonly syncPeriodMs: number
  readonly node: NodeStatus
  readonly source: SourceStatus
  readonly datapath: DatapathStatus
  readonly sync: SyncState
  readonly steering: SteeringStatus
  readonly proxies: readonly ConnectedProxy[]
  /** Things that did not work at start and do not stop the agent: kernel settings, listeners. */
  readonly setbacks: readonly string[]
}

export interface NodeStatus {
  readonly name: string
  /** `host`: there is no Node object of this name, its addresses were taken from the host's devices. */
  readonly origin: 'object' | 'host'
  readonly addresses: readonly Ip[]
  readonly podCidrs: readonly Cidr[]
}

export interface SourceStatus {
  readonly kind: 'manifests'
  readonly place: string
  readonly synced: boolean
  readonly services: number
  readonly slices: number
  readonly problems: { readonly errors: number; readonly warnings: number }
}

export interface DatapathStatus {
  readonly name: DatapathName
  readonly detail: string
  readonly families: readonly Family[]
  /** What `auto` passed over, and why. */
  readonly passedOver: readonly { readonly name: DatapathName; readonly because: string }[]
}

export interface AgentStatus extends AgentFacts {
  readonly state: 'starting' | 'ready' | 'degraded'
  /** Sentences; empty unless degraded or starting. */
  readonly reasons: readonly string[]
  /** Since the last successful sync; null: there was none. */
  readonly syncAgeMs: number | null
  readonly steeredFrontends: number
  /** The same by what asks for it; reasons without a frontend are left out. */
  readonly steeredBy: SteeredBy
}

export type SteeredBy = Readonly<Partial<Record<SteeringReason, number>>>

export interface StatusInput extends AgentFacts {
  readonly nowMs: number
  readonly steeredFrontends: number
  readonly steeredBy: SteeredBy
}

export function agentStatus(input: StatusInput): AgentStatus {
  const { nowMs, ...facts } = input
  const starting = startingReasons(facts)
  const degraded = degradedReasons(input)
  return {
    ...facts,
    state: starting.length > 0 ? 'starting' : degraded.length > 0 ? 'degraded' : 'ready',
    reasons: [...starting, ...degraded],
    syncAgeMs: facts.sync.lastSuccessAtMs === null ? null : Math.max(0, nowMs - facts.sync.lastSuccessAtMs),
  }
}

/** Numbers of problems by severity. */
export function countProblems(problems: readonly Problem[]): SourceStatus['problems'] {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  return { errors, warnings: problems.length - errors }
}

function startingReasons({ source, sync }: AgentFacts): string[] {
  if (!source.synced) return [`${source.place} has not been read completely; nothing is written before`]
  return sync.generation === null && sync.failures === 0 ? ['the first sync is under way'] : []
}

function degradedReasons(input: StatusInput): string[] {
  const { sync, source, steering, proxies } = input
  const reasons: string[] = []
  if (sync.consecutiveFailures > 0)
    reasons.push(
      `${times(sync.consecutiveFailures, 'sync')} failed in a row, the old rules stay in force: ${sync.lastError?.message ?? ''}`,
    )
  const waitingMs = sync.pendingSinceMs === null ? 0 : input.nowMs - sync.pendingSinceMs
  if (waitingMs >= 2 * input.syncPeriodMs)
    reasons.push(`a change has been waiting for ${Math.round(waitingMs / 1_000)} s`)
  if (source.problems.errors > 0)
    reasons.push(
      `${times(source.problems.errors, 'error')} in the manifests; see \`shunt validate -f ${source.place}\``,
    )
  // With the mechanism off the plan steers nothing, so the number of frontends does not tell.
  if (steering.mechanism === 'off' && steering.putAside.length > 0)
    reasons.push(`nothing is steered: ${steering.because}`)
  if (input.steeredFrontends > 0) {
    if (proxies.length === 0)
      reasons.push(
        `no proxy is connected; the kernel balances ${times(input.steeredFrontends, 'steered frontend')} alone`,
      )
    else if (steering.lastTest !== null && !steering.active)
      reasons.push(`the last self-test through ${steering.mechanism} failed`)
  }
  return [...reasons, ...input.setbacks]
}

function times(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
