// A policy and TLS routes in short words for people, in the field names of the objects.

import { DEFAULT_CONNECTION_POLICY, type ConnectionPolicy } from '../model/connection-policy.ts'
import { formatDuration } from '../model/duration.ts'
import { equal } from '../model/equal.ts'
import type { PlanTlsBackend, PlanTlsRoute, PortPolicy, ServicePortPlan } from './plan.ts'

/** `default/p: LeastConnections · connect.deadline 5s`: what differs from the defaults. */
export function policyText({ id, connection }: PortPolicy): string {
  const told = differences(connection)
  return `${id}: ${told.length === 0 ? 'the defaults' : told.join(' · ')}`
}

/** `*.example.org → default/api:443 ×3, default/gone:443 (refused: there is no Service default/gone)`. */
export function tlsRouteText({ hostname, backends }: PlanTlsRoute): string {
  const to = backends.length === 0 ? 'refused: no backend' : backends.map(backendText).join(', ')
  return `${hostname === '' ? 'any name' : hostname} → ${to}`
}

/** What the proxy does beyond a default connection to a random endpoint; '' for nothing. */
export function proxiedText({ policy, tlsRoutes }: Pick<ServicePortPlan, 'policy' | 'tlsRoutes'>): string {
  const routes = [...new Set(tlsRoutes.map(({ route }) => route))]
  return [
    ...(policy === undefined ? [] : [`policy ${policyText(policy)}`]),
    ...(routes.length === 0 ? [] : [`by TLS server name, TLSRoute ${routes.join(', ')}`]),
  ].join('; ')
}

function backendText({ name, weight, service, because }: PlanTlsBackend): string {
  const share = weight === 1 ? name : `${name} ×${weight}`
  return service === null ? `${share} (refused: ${because ?? 'not valid'})` : share
}

function differences({
  balancer,
  connect,
  timeouts,
  outlier,
  limits,
  proxyProtocol,
}: ConnectionPolicy): string[] {
  const defaults = DEFAULT_CONNECTION_POLICY
  const { slowStart } = balancer
  const { backoff, retryBudget } = connect
  const times = (['idleMs', 'halfClosedMs', 'silentMs', 'lifetimeMs'] as const)
    .filter((field) => timeouts[field] !== defaults.timeouts[field])
    .map((field) => `timeouts.${field.slice(0, -'Ms'.length)} ${formatDuration(timeouts[field])}`)
  return [
    ...only(balancer.kind !== defaults.balancer.kind, balancer.kind),
    ...only(
      !equal(slowStart, defaults.balancer.slowStart),
      `slowStart ${formatDuration(slowStart.windowMs)}`,
    ),
    ...only(balancer.decayMs !== defaults.balancer.decayMs, `decay ${formatDuration(balancer.decayMs)}`),
    ...only(
      connect.attemptTimeoutMs !== defaults.connect.attemptTimeoutMs,
      `connect.attemptTimeout ${formatDuration(connect.attemptTimeoutMs)}`,
    ),
    ...only(
      connect.deadlineMs !== defaults.connect.deadlineMs,
      `connect.deadline ${formatDuration(connect.deadlineMs)}`,
    ),
    ...only(
      !equal(backoff, defaults.connect.backoff),
      `connect.backoff ${formatDuration(backoff.baseMs)} to ${formatDuration(backoff.maxMs)}`,
    ),
    ...only(
      !equal(retryBudget, defaults.connect.retryBudget),
      `retryBudget ${retryBudget.percent}% or ${retryBudget.minPerSecond}/s`,
    ),
    ...times,
    ...only(outlier !== undefined, `outlierDetection after ${outlier?.consecutiveFailures ?? 0} failures`),
    ...only(limits.maxConnections !== undefined, `maxConnections ${limits.maxConnections ?? 0}`),
    ...only(
      limits.maxConnectionsPerClient !== undefined,
      `maxConnectionsPerClient ${limits.maxConnectionsPerClient ?? 0}`,
    ),
    ...only(limits.fair !== defaults.limits.fair, 'not fair'),
    ...only(proxyProtocol.send === 'v2', 'PROXY header to endpoints'),
    ...only(proxyProtocol.acceptFrom.length > 0, `PROXY header from ${proxyProtocol.acceptFrom.join(', ')}`),
  ]
}

function only(condition: boolean, text: string): string[] {
  return condition ? [text] : []
}
