// The least and the most of every number of a ConnectionPolicy. The decoder of TrafficPolicy, the schema of its
// CustomResourceDefinition, its page and the check of a view all read them here.

export interface Bounds {
  readonly min: number
  readonly max: number
}

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const WEEK = 7 * 24 * HOUR

const PERCENT: Bounds = { min: 0, max: 100 }
/** As far as a connection may be silent: a week, well inside the 32 bits of milliseconds that an engine counts. */
const PATIENCE: Bounds = { min: 100, max: WEEK }
const CONNECTIONS: Bounds = { min: 1, max: 1_000_000 }

export const POLICY_BOUNDS = {
  slowStart: {
    windowMs: { min: 0, max: HOUR },
    minWeightPercent: { min: 1, max: 100 },
    aggression: { min: 0.1, max: 10 },
  },
  decayMs: { min: 100, max: 10 * MINUTE },
  connect: {
    attemptTimeoutMs: { min: 10, max: MINUTE },
    deadlineMs: { min: 10, max: 5 * MINUTE },
  },
  backoff: { baseMs: { min: 1, max: 10 * SECOND }, maxMs: { min: 1, max: MINUTE } },
  retryBudget: { percent: PERCENT, minPerSecond: { min: 0, max: 1_000_000 } },
  timeouts: {
    idleMs: PATIENCE,
    halfClosedMs: PATIENCE,
    silentMs: PATIENCE,
    lifetimeMs: { min: 0, max: WEEK },
  },
  outlier: {
    consecutiveFailures: { min: 1, max: 1_000 },
    baseEjectionMs: { min: 10, max: HOUR },
    maxEjectionMs: { min: 10, max: 24 * HOUR },
    maxEjectionPercent: PERCENT,
    panicPercent: PERCENT,
  },
  limits: { maxConnections: CONNECTIONS, maxConnectionsPerClient: CONNECTIONS },
  /** Of an endpoint, relative to the others. */
  weight: { min: 0, max: 1_000 },
  /** Of a backend of a route, as in the Gateway API. */
  backendWeight: { min: 0, max: 1_000_000 },
} as const satisfies Readonly<Record<string, Bounds | Readonly<Record<string, Bounds>>>>

/** Sizes of lists. */
export const POLICY_LIMITS = {
  targetRefs: 16,
  weights: 64,
  cidrs: 64,
  /** Host names of TLS routes on one Service port; the most specific ones stand. */
  tlsRoutes: 4_096,
  /** The Gateway API's own. */
  hostnames: 16,
  backends: 16,
} as const
