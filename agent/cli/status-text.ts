// The two processes' answers as one page. Pure.

import { formatBytes } from '../model/size.ts'
import type { ProxyStatus, WorkerStatus } from '../proxy/admin-shapes.ts'
import type { DrainingProxy } from '../proxy/handover/draining-proxies.ts'
import type { AgentStatus } from '../sync/status.ts'
import type { Printed } from './output.ts'
import { renderTree, type Branch } from './tree.ts'

export type Answered<T> =
  | { readonly kind: 'running'; readonly status: T }
  /** `starting`: it listens, and cannot answer yet. */
  | { readonly kind: 'absent' | 'starting'; readonly because: string }

export interface StatusAnswers {
  readonly agent: Answered<AgentStatus>
  readonly proxy: Answered<ProxyStatus>
  readonly runDir: string
  readonly nowMs: number
}

/** The agent is ready, and so is the proxy if something is to be steered to it. */
export function isReady({ agent, proxy }: StatusAnswers): boolean {
  if (agent.kind !== 'running' || agent.status.state === 'starting') return false
  return agent.status.steeredFrontends === 0 || (proxy.kind === 'running' && proxy.status.state === 'serving')
}

export function printedStatus(answers: StatusAnswers): Printed {
  return {
    data: () => ({
      ready: isReady(answers),
      runDir: answers.runDir,
      agent: dataOf(answers.agent),
      proxy: dataOf(answers.proxy),
    }),
    text: (wide) =>
      renderTree([...agentBranches(answers, wide), ...proxyBranches(answers, wide), ...problems(answers)]),
  }
}

function dataOf(answered: Answered<unknown>): unknown {
  return answered.kind === 'running' ? answered.status : { state: answered.kind, reasons: [answered.because] }
}

function agentBranches({ agent, nowMs }: StatusAnswers, wide: boolean): readonly Branch[] {
  if (agent.kind !== 'running') return [{ label: 'agent', text: `${agent.kind}: ${agent.because}` }]
  const { status } = agent
  const { source, datapath, sync, node } = status
  const age = status.syncAgeMs === null ? 'never' : `${duration(status.syncAgeMs)} ago`
  const took = sync.lastDurationMs === null ? '' : `, took ${duration(sync.lastDurationMs)}`
  const waiting =
    sync.pendingSinceMs === null ? '' : ` · a change waits since ${duration(nowMs - sync.pendingSinceMs)}`
  return [
    {
      label: 'agent',
      text: `${status.state} · pid ${status.pid} · version ${status.version} · up ${duration(nowMs - status.startedAtMs)}`,
    },
    {
      label: 'node',
      text: `${node.name} · ${node.addresses.join(', ')}${node.origin === 'host' ? " (the host's own; no Node object)" : ''}`,
    },
    {
      label: 'source',
      text: `${source.kind} ${source.place} · ${source.synced ? 'synced' : 'not read yet'} · ${times(source.services, 'Service')}, ${times(source.slices, 'slice')} · ${times(source.problems.errors, 'error')}, ${times(source.problems.warnings, 'warning')}`,
    },
    {
      label: 'datapath',
      text: `${datapath.name} · ${datapath.families.join(', ')}${wide ? ` · ${datapath.detail}` : ''}`,
    },
    {
      label: 'sync',
      text: `generation ${sync.generation ?? 'none'} · last ${age}${took} · ${times(sync.syncs, 'sync')}, ${sync.failures} failed · ${times(sync.driftRepairs, 'drift repair')}${waiting}`,
    },
    steeringBranch(status),
  ]
}

function steeringBranch({ steering, steeredFrontends, steeredBy, proxies }: AgentStatus): Branch {
  if (steering.mechanism === 'off') return { label: 'steering', text: `off: ${steering.because}` }
  const proven = steering.active ? 'proven by a connection' : 'not proven'
  const put = steering.putAside.map((one) => ({
    label: one.mechanism,
    text: `put aside for ${duration(one.forMs)}: ${one.because}`,
  }))
  const told = Object.entries(steeredBy).map(([reason, count]) => `${count} by ${reason}`)
  const reasons = told.length === 0 ? '' : ` (${told.join(', ')})`
  return {
    label: 'steering',
    text: `${steering.mechanism} · ${proven} · ${times(steeredFrontends, 'steered frontend')}${reasons} · ${times(proxies.length, 'proxy', 'proxies')} connected`,
    children: put,
  }
}

function proxyBranches({ proxy, agent, nowMs }: StatusAnswers, wide: boolean): readonly Branch[] {
  if (proxy.kind !== 'running') {
    // Without the agent nobody knows what is steered.
    const idle = agent.kind === 'running' && agent.status.steeredFrontends === 0
    return [{ label: 'proxy', text: `${proxy.kind}${idle ? ' · nothing is steered' : `: ${proxy.because}`}` }]
  }
  const { status } = proxy
  const { heartbeat, connections, view } = status
  const beat = heartbeat.beating
    ? `beats${heartbeat.lastBeatAtMs === null ? '' : `, last ${duration(nowMs - heartbeat.lastBeatAtMs)} ago`}`
    : `silent: ${heartbeat.because}`
  const refused = Object.entries(connections.refused).filter(([, count]) => count > 0)
  return [
    {
      label: 'proxy',
      text: `${status.state} · pid ${status.pid} · user ${status.uid} · version ${status.version} · up ${duration(nowMs - status.startedAtMs)}`,
    },
    {
      label: 'view',
      text:
        view === null
          ? 'none yet'
          : `generation ${view.generation} from ${sourceText(view.source, status.agentConnected)} · ${times(view.frontends, 'frontend')}`,
    },
    { label: 'heartbeat', text: beat },
    {
      label: 'connections',
      text: `${connections.open} open · ${connections.accepted} accepted${refused.map(([why, count]) => ` · ${count} refused (${why})`).join('')}`,
    },
    workersBranch(status.workers, wide),
    ...status.predecessors.map((each, at) => predecessorBranch(each, at, nowMs)),
    ...(wide
      ? [
          {
            label: 'listeners',
            text: `${status.listeners.join(', ')}${status.skLookup ? ' · in the socket map of sk_lookup' : ''}`,
          },
        ]
      : []),
  ]
}

/** What moves the bytes. Why it is not the native engine, if it is not, is among the problems. */
function workersBranch(workers: readonly WorkerStatus[], wide: boolean): Branch {
  const relays = [...new Set(workers.map(({ relay }) => relay))]
  const sum = (what: string): number => workers.reduce((all, { counters }) => all + (counters[what] ?? 0), 0)
  const moved = relays.includes('native')
    ? ` · ${formatBytes(sum('spliced_bytes'))} spliced, ${formatBytes(sum('copied_bytes'))} copied`
    : ` · ${formatBytes(sum('copied_bytes'))} copied`
  const short = SHORTAGES.map(([what, words]) => [words, sum(what)] as const)
    .filter(([, count]) => count > 0)
    .map(([words, count]) => ` · short of ${words} ${times(count, 'time')}`)
  return {
    label: 'workers',
    text:
      workers.length === 0 ? 'none yet' : `${workers.length} ${relays.join(', ')}${moved}${short.join('')}`,
    children: workers
      .filter(({ state }) => wide || state !== 'healthy')
      .map(({ number, state, connections, accepted, pipes }) => ({
        label: `worker ${number}`,
        text: `${state} · ${connections} open · ${accepted} accepted · ${times(pipes, 'pipe')}`,
      })),
  }
}

/** A proxy that handed over and keeps its connections. */
function predecessorBranch({ pid, connections, untilMs }: DrainingProxy, at: number, nowMs: number): Branch {
  const left = connections === null ? 'draining' : `draining · ${times(connections, 'connection')} left`
  const until = untilMs === null ? '' : ` · reset in ${duration(untilMs - nowMs)}`
  return { label: at === 0 ? 'predecessor' : '', text: `pid ${pid} · ${left}${until}` }
}

const SHORTAGES = [
  ['pipe_shortages', 'pipes'],
  ['descriptor_shortages', 'descriptors'],
  ['memory_shortages', 'memory'],
  ['port_shortages', 'source ports'],
] as const

function problems({ agent, proxy }: StatusAnswers): readonly Branch[] {
  const reasons = [
    ...(agent.kind === 'running' ? agent.status.reasons : []),
    ...(proxy.kind === 'running' ? proxy.status.degraded : []),
  ]
  return reasons.length === 0
    ? []
    : [{ label: 'degraded', text: '', children: reasons.map((text) => ({ label: '', text: `✗ ${text}` })) }]
}

/** `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ] as const
  const [size, unit] = units.find(([size]) => ms >= size) ?? [1_000, 's']
  return `${Math.floor(ms / size)} ${unit}`
}

function times(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`
}

/** A connected agent sends what is newer: one that sent nothing has the same view, or none yet. */
function sourceText(source: 'agent' | 'disk', agentConnected: boolean): string {
  if (source === 'agent') return 'the agent'
  return agentConnected ? 'disk, none newer from the agent' : 'disk'
}
