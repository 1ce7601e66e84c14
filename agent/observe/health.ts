// Health as load balancers and probes ask for it (kube-proxy rows 78 to 84): /healthz and /livez on the node's address,
// /healthz, /metrics and /proxyMode on loopback. A taken address is retried, because kube-proxy may still hold it.

import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { Family } from '../model/ip.ts'
import type { Log } from '../model/log.ts'
import type { Metrics } from '../model/metrics.ts'
import { json, serveHttp, text, type HttpServer, type Reply, type Routes } from './http-json.ts'

export interface HealthFacts {
  readonly families: readonly Family[]
  readonly syncPeriodMs: number
  /** Milliseconds since 1970 of the oldest change that is not in the kernel; null: none waits. */
  readonly pendingSinceMs: number | null
  readonly lastSuccessAtMs: number | null
  readonly startedAtMs: number
  /** undefined: the Node is unknown. */
  readonly node: { readonly taints: readonly string[]; readonly deleting: boolean } | undefined
}

export interface HealthReport {
  readonly lastUpdated: string
  readonly currentTime: string
  readonly nodeEligible: boolean
  readonly healthy: boolean
  readonly status: Readonly<
    Partial<Record<Family, { readonly lastUpdated: string; readonly healthy: boolean }>>
  >
}

const AUTOSCALER_TAINT = 'ToBeDeletedByClusterAutoscaler'
const RETRY_MS = 5_000

/** Rows 79 to 83. Healthy is "no change waits too long", not "synced lately": an idle node stays healthy for ever. */
export function healthReport(facts: HealthFacts, nowMs: number): HealthReport {
  const waitingMs = facts.pendingSinceMs === null ? 0 : nowMs - facts.pendingSinceMs
  const healthy = waitingMs < 2 * facts.syncPeriodMs
  const nodeEligible =
    facts.node !== undefined && !facts.node.deleting && !facts.node.taints.includes(AUTOSCALER_TAINT)
  const updatedMs = healthy ? nowMs : (facts.lastSuccessAtMs ?? facts.startedAtMs)
  const lastUpdated = new Date(updatedMs).toISOString()
  return {
    lastUpdated,
    currentTime: new Date(nowMs).toISOString(),
    nodeEligible,
    healthy,
    status: Object.fromEntries(facts.families.map((family) => [family, { lastUpdated, healthy }])),
  }
}

/** For load balancers: 503 also while the node is about to go. */
export function healthzRoutes(facts: () => HealthFacts, clock: Clock, metrics: Metrics): Routes {
  return {
    'GET /healthz': () => {
      const report = healthReport(facts(), clock.wallMs())
      return counted('kubeproxy_proxy_healthz_total', report, report.healthy && report.nodeEligible, metrics)
    },
    // Row 80: eligibility is neither judged nor said, or probes would restart the agent on every scale-down.
    'GET /livez': () => {
      const { nodeEligible: _, ...report } = healthReport(facts(), clock.wallMs())
      return counted('kubeproxy_proxy_livez_total', report, report.healthy, metrics)
    },
  }
}

/** Row 84. */
export function metricsRoutes(parts: {
  readonly metrics: () => string
  readonly mode: () => string
}): Routes {
  return {
    'GET /metrics': () => ({
      kind: 'text',
      text: parts.metrics(),
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    }),
    'GET /proxyMode': () => text(parts.mode()),
    'GET /healthz': () => text('ok'),
  }
}

export interface RetriedServer {
  /** Why it does not listen now; undefined: it does. */
  problem(): string | undefined
  close(): Promise<void>
}

/** Listens, or tries again every five seconds (row 78). */
export async function listenWithRetry(
  what: string,
  address: { readonly host: string; readonly port: number },
  routes: Routes,
  clock: Clock,
  log: Log,
): Promise<RetriedServer> {
  let server: HttpServer | undefined
  let problem: string | undefined
  let closed = false
  let cancel = (): void => {}

  async function attempt(): Promise<void> {
    try {
      const made = await serveHttp({ kind: 'tcp', ...address }, routes, log)
      if (closed) return await made.close()
      server = made
      problem = undefined
    } catch (error) {
      if (problem === undefined) log.warn({ error }, `${what} cannot be served yet; tried again every 5 s`)
      problem = `${what} is not served: ${messageOf(error)}`
      cancel = clock.after(RETRY_MS, () => void attempt())
    }
  }

  await attempt()
  return {
    problem: () => problem,
    async close() {
      closed = true
      cancel()
      await server?.close()
    },
  }
}

function counted(
  name: 'kubeproxy_proxy_healthz_total' | 'kubeproxy_proxy_livez_total',
  report: object,
  good: boolean,
  metrics: Metrics,
): Reply {
  const status = good ? 200 : 503
  metrics.add(name, { code: String(status) })
  return json(report, status)
}
