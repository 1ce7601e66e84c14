// The table of metrics (docs/metrics.md is generated from it) and the capability to write them. The registry that
// keeps the values and serves them as text is observe/metrics.ts. kube-proxy's names are used where the meaning is
// kube-proxy's; ours begin with shunt_.

export interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds, for histograms. */
  readonly buckets?: readonly number[]
  readonly process: 'agent' | 'proxy' | 'both'
}

/** 1 ms doubling to 16.4 s: kube-proxy's buckets for sync durations. */
const SYNC_BUCKETS_SECONDS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i)

/** 50 µs doubling to 13 s: one attempt, from a Pod of this node to the deadline of all of them. */
const CONNECT_BUCKETS_SECONDS = Array.from({ length: 19 }, (_, i) => 0.00005 * 2 ** i)

/** 1 ms, times four up to three days. */
const LIFE_BUCKETS_SECONDS = Array.from({ length: 15 }, (_, i) => 0.001 * 4 ** i)

export const METRICS = {
  kubeproxy_sync_proxy_rules_duration_seconds: {
    kind: 'histogram',
    help: 'Time of one sync, from the start of the plan to the commit.',
    labels: ['ip_family'],
    buckets: SYNC_BUCKETS_SECONDS,
    process: 'agent',
  },
  kubeproxy_sync_full_proxy_rules_duration_seconds: {
    kind: 'histogram',
    help: 'Time of one full sync.',
    labels: ['ip_family'],
    buckets: SYNC_BUCKETS_SECONDS,
    process: 'agent',
  },
  kubeproxy_sync_partial_proxy_rules_duration_seconds: {
    kind: 'histogram',
    help: 'Time of one partial sync.',
    labels: ['ip_family'],
    buckets: SYNC_BUCKETS_SECONDS,
    process: 'agent',
  },
  kubeproxy_sync_proxy_rules_last_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the last sync succeeded, seconds since 1970.',
    labels: ['ip_family'],
    process: 'agent',
  },
  kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the last change was queued, seconds since 1970.',
    labels: ['ip_family'],
    process: 'agent',
  },
  kubeproxy_sync_proxy_rules_iptables_restore_failures_total: {
    kind: 'counter',
    help: 'iptables-restore runs that failed.',
    labels: ['ip_family'],
    process: 'agent',
  },
  kubeproxy_proxy_healthz_total: {
    kind: 'counter',
    help: 'Answers to /healthz, by status code.',
    labels: ['code'],
    process: 'agent',
  },
  kubeproxy_proxy_livez_total: {
    kind: 'counter',
    help: 'Answers to /livez, by status code.',
    labels: ['code'],
    process: 'agent',
  },
  shunt_plan_build_seconds: {
    kind: 'histogram',
    help: 'Time to build a plan from a snapshot.',
    labels: [],
    buckets: SYNC_BUCKETS_SECONDS,
    process: 'agent',
  },
  shunt_plan_generation: {
    kind: 'gauge',
    help: 'Generation of the plan in force.',
    labels: [],
    process: 'agent',
  },
  shunt_sync_failures_total: {
    kind: 'counter',
    help: 'Syncs that failed; the old rules stayed in force.',
    labels: ['datapath'],
    process: 'agent',
  },
  shunt_drift_repairs_total: {
    kind: 'counter',
    help: 'Times the kernel differed from the plan and was repaired.',
    labels: ['datapath'],
    process: 'agent',
  },
  shunt_source_problems: {
    kind: 'gauge',
    help: 'Problems in the objects of the source now.',
    labels: ['severity'],
    process: 'agent',
  },
  shunt_steering_selftest_total: {
    kind: 'counter',
    help: 'Self-test connections through the steering path, by result.',
    labels: ['mechanism', 'result'],
    process: 'agent',
  },
  shunt_steering_active: {
    kind: 'gauge',
    help: '1 while new connections of steered frontends reach the proxy.',
    labels: ['mechanism'],
    process: 'agent',
  },
  shunt_view_generation: {
    kind: 'gauge',
    help: 'Generation of the view that the proxy serves.',
    labels: [],
    process: 'proxy',
  },
  shunt_view_subscribers: {
    kind: 'gauge',
    help: 'Proxies connected to the view socket.',
    labels: [],
    process: 'agent',
  },
  shunt_proxy_connections_total: {
    kind: 'counter',
    help: 'Connections accepted, by Service port.',
    labels: ['service'],
    process: 'proxy',
  },
  shunt_proxy_connections_active: {
    kind: 'gauge',
    help: 'Connections open now.',
    labels: [],
    process: 'proxy',
  },
  shunt_proxy_connect_attempts_total: {
    kind: 'counter',
    help: 'Connection attempts to endpoints, by result.',
    labels: ['service', 'result'],
    process: 'proxy',
  },
  shunt_proxy_refused_total: {
    kind: 'counter',
    help: 'Connections refused by the proxy, by reason.',
    labels: ['reason'],
    process: 'proxy',
  },
  shunt_proxy_bytes_total: {
    kind: 'counter',
    help: 'Bytes relayed, by direction.',
    labels: ['service', 'direction'],
    process: 'proxy',
  },
  shunt_proxy_connections_ended_total: {
    kind: 'counter',
    help: 'Connections that ended, by outcome; every accepted one ends here once. Without a Service: refused or a self-test.',
    labels: ['service', 'outcome'],
    process: 'proxy',
  },
  shunt_proxy_connect_seconds: {
    kind: 'histogram',
    help: 'Time of one successful attempt to connect to an endpoint.',
    labels: ['service'],
    buckets: CONNECT_BUCKETS_SECONDS,
    process: 'proxy',
  },
  shunt_proxy_connection_seconds: {
    kind: 'histogram',
    help: 'Life of a connection, from accept to end.',
    labels: ['service'],
    buckets: LIFE_BUCKETS_SECONDS,
    process: 'proxy',
  },
  shunt_proxy_ejections_total: {
    kind: 'counter',
    help: 'Endpoints ejected because they refused connections in a row.',
    labels: ['service'],
    process: 'proxy',
  },
  shunt_proxy_retries_total: {
    kind: 'counter',
    help: 'Further rounds over the endpoints of a connection that none took, by what came of the wish for one.',
    labels: ['service', 'result'],
    process: 'proxy',
  },
  shunt_proxy_endpoints_ejected: {
    kind: 'gauge',
    help: 'Endpoints that are ejected now.',
    labels: ['service'],
    process: 'proxy',
  },
  shunt_proxy_limit_refusals_total: {
    kind: 'counter',
    help: 'Connections refused because of a limit of their Service: `connections` for all clients together, `client` for one.',
    labels: ['service', 'limit'],
    process: 'proxy',
  },
  shunt_proxy_first_bytes_total: {
    kind: 'counter',
    help: 'First bytes that were looked at, for a `proxy-header` or a `tls-hello`: `read`, `malformed`, or `incomplete` because no more came in time.',
    labels: ['looked_for', 'result'],
    process: 'proxy',
  },
  shunt_proxy_endpoint_attempts_total: {
    kind: 'counter',
    help: 'Connection attempts by endpoint, `connected` or `failed`; only with --endpoint-metrics, and only endpoints that are in the view.',
    labels: ['service', 'endpoint', 'result'],
    process: 'proxy',
  },
  shunt_proxy_handovers_total: {
    kind: 'counter',
    help: 'Listening sockets given to the next proxy process (`gave`) or received from the last one (`took`), by result.',
    labels: ['role', 'result'],
    process: 'proxy',
  },
  shunt_proxy_access_log_dropped_total: {
    kind: 'counter',
    help: 'Lines of the access log that were dropped, because they came faster than they could be written.',
    labels: [],
    process: 'proxy',
  },
  shunt_proxy_worker_stalls_total: {
    kind: 'counter',
    help: 'Times a worker did not go round for a second, so that another served its listeners.',
    labels: ['worker'],
    process: 'proxy',
  },
  shunt_proxy_worker_losses_total: {
    kind: 'counter',
    help: 'Workers whose thread ended; each was replaced, its connections were lost.',
    labels: ['worker'],
    process: 'proxy',
  },
  shunt_proxy_worker_connections: {
    kind: 'gauge',
    help: 'Connections open now, by worker.',
    labels: ['worker'],
    process: 'proxy',
  },
  shunt_proxy_worker_pipes: {
    kind: 'gauge',
    help: 'Pipes of a worker, in use and in its pool.',
    labels: ['worker'],
    process: 'proxy',
  },
  shunt_proxy_worker_counts_total: {
    kind: 'counter',
    help: 'What a worker counts itself: bytes spliced and copied, and what it ran short of.',
    labels: ['worker', 'what'],
    process: 'proxy',
  },
  shunt_proxy_heartbeat_failures_total: {
    kind: 'counter',
    help: 'Heartbeats that the kernel refused.',
    labels: [],
    process: 'proxy',
  },
  shunt_proxy_event_loop_delay_seconds: {
    kind: 'gauge',
    help: 'Longest delay of the event loop in the last second.',
    labels: [],
    process: 'proxy',
  },
} as const satisfies Record<string, MetricRow>

export type MetricName = keyof typeof METRICS

/** Label values by label name; a row's labels must all be given. */
export type Labels = Readonly<Record<string, string>>

export interface Metrics {
  /** Adds to a counter. */
  add(name: MetricName, labels?: Labels, amount?: number): void
  /** Sets a gauge. */
  set(name: MetricName, value: number, labels?: Labels): void
  /** Adds one observation to a histogram. */
  observe(name: MetricName, value: number, labels?: Labels): void
  /** One series of a counter, looked up once: for what is counted for every connection. */
  counter(name: MetricName, labels?: Labels): (amount?: number) => void
  /** The same of a histogram. */
  histogram(name: MetricName, labels?: Labels): (value: number) => void
}

/** What is written when somebody asks for the metrics, by callbacks given to the registry. */
export interface ScrapedMetrics extends Metrics {
  /** Sets a counter to what somebody else counted since its own start; a lower total than before is a new start. */
  total(name: MetricName, value: number, labels?: Labels): void
  /**
   * Drops every series whose value of this label is over: a Service that was deleted, a worker that ended. Not asked
   * about '' and `other`.
   */
  forget(label: string, isOver: (value: string) => boolean): void
}
