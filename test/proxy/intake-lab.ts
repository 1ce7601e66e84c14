// An intake on fake engines and standing time, with everything that it wrote down.

import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '#agent/model/connection-policy.ts'
import { createMetrics, type MetricsRegistry } from '#agent/observe/metrics.ts'
import type { ConnectionRecord } from '#agent/proxy/admin-shapes.ts'
import { ConnectionTable } from '#agent/proxy/connection-table.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { Traffic } from '#agent/proxy/decision/traffic.ts'
import type { ProxyView, ViewService } from '#agent/proxy/decision/view.ts'
import type { ConnectVerdict } from '#agent/proxy/engine/engine.ts'
import { Intake } from '#agent/proxy/intake.ts'
import { Journal } from '#agent/proxy/journal.ts'
import { Worker } from '#agent/proxy/worker.ts'
import { manualClock, type ManualClock } from '../support/manual-clock.ts'
import { quietLog, type QuietLog } from '../support/quiet-log.ts'
import { FakeEngine } from './fake-engine.ts'
import { service, view, WEB } from './views.ts'

export interface IntakeLab {
  readonly clock: ManualClock
  readonly log: QuietLog
  readonly metrics: MetricsRegistry
  readonly intake: Intake
  readonly journal: Journal
  readonly table: ConnectionTable
  readonly traffic: Traffic
  readonly worker: Worker
  readonly engine: FakeEngine
  /** Every connection that ended, as the access log got it. */
  readonly records: readonly ConnectionRecord[]
  /** From now on. */
  use(view: ProxyView): void
  /** The candidates of its last verdict, which must be a connect; `ip:port`. */
  candidates(connection: number): readonly string[]
  verdict(connection: number): ConnectVerdict
  /** Frontends and Services as a view; accepted and ended must add up. */
  sum(): { readonly accepted: number; readonly ended: number; readonly open: number }
}

export interface IntakeLabOptions {
  readonly endpoints?: readonly string[]
  readonly policy?: Partial<ConnectionPolicy>
  readonly service?: Partial<ViewService>
  readonly view?: ProxyView
  readonly maxConnections?: number
  readonly random?: () => number
  readonly endpointMetrics?: number
}

export const CLIENT = '10.244.1.7:5000'
export const STEERED = '10.96.0.10:80'

export function startIntake(options: IntakeLabOptions = {}): IntakeLab {
  const clock = manualClock()
  const log = quietLog()
  const metrics = createMetrics({ onMisuse: (message) => log.error({}, message) })
  const table = new ConnectionTable()
  const traffic = new Traffic()
  const records: ConnectionRecord[] = []
  const journal = new Journal({
    clock,
    log,
    metrics,
    accessLog: (record) => records.push(record),
    endpointMetrics: options.endpointMetrics ?? 0,
  })
  let served = options.view ?? viewOf(options)
  const intake = new Intake({
    clock,
    random: options.random ?? (() => 0.999),
    table,
    journal,
    affinity: new AffinityTable(),
    traffic,
    local: { has: (each) => each === '192.168.0.10' },
    view: () => served,
    maxConnections: options.maxConnections ?? 100,
    listenerPort: 15001,
    selfTestAnswer: () => 'hello\n',
  })
  traffic.prune(served, clock.monotonicMs())
  const worker = new Worker(0, (self) => new FakeEngine(intake.events(self), () => clock.monotonicMs()))
  const engine = worker.engine as FakeEngine
  const verdict = (connection: number): ConnectVerdict => {
    const last = engine.verdict(connection)
    if (last?.kind !== 'connect') throw new Error(`the last verdict is ${last?.kind ?? 'none'}`)
    return last
  }
  return {
    clock,
    log,
    metrics,
    intake,
    journal,
    table,
    traffic,
    worker,
    engine,
    records,
    use(next) {
      served = next
      traffic.prune(next, clock.monotonicMs())
    },
    verdict,
    candidates: (connection) => verdict(connection).candidates.map(({ ip, port }) => `${ip}:${port}`),
    sum: () => ({ accepted: intake.accepted, ended: ended(metrics), open: table.size }),
  }
}

/** One Service at 10.96.0.10:80. */
export function viewOf({
  endpoints = ['10.244.1.2:8080'],
  policy,
  service: more,
}: IntakeLabOptions): ProxyView {
  return view({
    services: {
      [WEB]: service(endpoints, {
        ...(policy === undefined ? {} : { policy: policyOf(policy) }),
        ...more,
      }),
    },
  })
}

export function policyOf(policy: Partial<ConnectionPolicy>): ConnectionPolicy {
  return { ...DEFAULT_CONNECTION_POLICY, ...policy }
}

/** Over all Services and outcomes. */
function ended(metrics: MetricsRegistry): number {
  const values = [...metrics.text().matchAll(/^shunt_proxy_connections_ended_total\{[^}]*\} (\d+)$/gm)]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}
