// A connection as `shunt connections` and the access log tell it. Made only when somebody asks.

import type { Clock } from '../model/clock.ts'
import { hostPort, type Ip } from '../model/ip.ts'
import type { AttemptRecord, ConnectionRecord } from './admin-shapes.ts'
import type { Attempt, Connection } from './connection.ts'
import type { Decision } from './decision/decision.ts'
import { whyOf } from './decision/why.ts'
import type { RelayedBytes } from './engine/engine.ts'

export function recordOf(connection: Connection, clock: Clock): ConnectionRecord {
  const { state, decision, peer, client, destination } = connection
  const connect = decision?.kind === 'connect' ? decision : undefined
  const refusal = decision?.kind === 'refuse' ? decision : undefined
  const ageMs = clock.monotonicMs() - connection.startMs
  const end = state.kind === 'ended' ? state : undefined
  const bytes = end?.bytes ?? liveBytes(connection)
  return {
    id: connection.number,
    worker: connection.worker.number,
    client: text(client),
    peer: client === peer ? null : text(peer),
    originalDestination: destination === undefined ? 'unknown' : text(destination),
    clientKind: connect?.clientKind ?? null,
    service: serviceOf(decision) ?? null,
    frontend: (connect ?? refusal)?.frontend ?? null,
    tlsRoute: connect?.tlsRoute ?? null,
    serverName: connect?.serverName ?? null,
    endpoint: connection.endpoint === undefined ? null : text(connection.endpoint),
    decidedBy:
      decision === undefined || connection.epoch === ''
        ? null
        : {
            epoch: connection.epoch,
            generation: connection.generation,
            why: stepsOf(decision, end?.because),
          },
    attempts: attemptsOf(connection),
    state: state.kind,
    ended: end?.because ?? null,
    fromClientBytes: bytes.fromClient,
    fromEndpointBytes: bytes.fromEndpoint,
    sinceMs: Math.round(clock.wallMs() - ageMs),
    durationMs: end === undefined ? Math.round(ageMs) : Math.round(end.durationUs) / 1_000,
    tcp: { client: end?.client ?? null, endpoint: end?.endpoint ?? null },
  }
}

/** undefined: it belongs to none, or nobody knows yet. */
export function serviceOf(decision: Decision | undefined): string | undefined {
  return decision === undefined || decision.kind === 'selftest' ? undefined : decision.service
}

/** A decision to connect may have come to nothing because its Service was full. */
function stepsOf(decision: Decision, because: string | undefined): readonly string[] {
  const steps = whyOf(decision)
  if (decision.kind !== 'connect') return steps
  const { maxConnections, maxConnectionsPerClient, fair } = decision.policy.limits
  if (because === 'refused: limit') return [...steps, `maxConnections ${maxConnections} are open`]
  if (because !== 'refused: client-limit') return steps
  const reached = [
    ...(maxConnectionsPerClient === undefined ? [] : [`maxConnectionsPerClient ${maxConnectionsPerClient}`]),
    ...(maxConnections === undefined || !fair ? [] : [`its fair share of maxConnections ${maxConnections}`]),
  ]
  return [...steps, `the client is at ${reached.join(', or ')}`]
}

function liveBytes({ state, worker, id }: Connection): RelayedBytes {
  return state.kind === 'relaying' ? worker.engine.bytes(id) : { fromClient: 0, fromEndpoint: 0 }
}

function attemptsOf({ attempts, state }: Connection): readonly AttemptRecord[] {
  const known = attempts.map(attemptRecord)
  const trying = state.kind === 'connecting' ? state.decision.candidates[state.trying] : undefined
  return trying === undefined
    ? known
    : [...known, { endpoint: text(trying), result: 'connecting', durationMs: 0 }]
}

function attemptRecord({ endpoint, result, durationUs }: Attempt): AttemptRecord {
  return { endpoint: text(endpoint), result, durationMs: Math.round(durationUs) / 1_000 }
}

function text({ ip, port }: { readonly ip: Ip; readonly port: number }): string {
  return hostPort(ip, port)
}
