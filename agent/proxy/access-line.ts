// What the access log says about one connection: fields for machines, a line for a person. Pure.

import { formatBytes } from '../model/size.ts'
import type { ConnectionRecord } from './admin-shapes.ts'

/** What is not known or was not there is left out. */
export interface AccessFields {
  readonly service?: string
  readonly frontend?: string
  readonly tlsRoute?: string
  readonly serverName?: string
  readonly client: string
  readonly peer?: string
  readonly destination: string
  readonly endpoint?: string
  /** `closed`, `reset-by-endpoint`, `refused: no-endpoints`, ... */
  readonly outcome: string
  readonly fromClientBytes: number
  readonly fromEndpointBytes: number
  /** Of the attempt that worked. */
  readonly connectMs?: number
  /** From accept to end. */
  readonly durationMs: number
  /** `10.0.0.1:80 ECONNREFUSED 0.2 ms`, in order; left out if the first worked. */
  readonly attempts?: readonly string[]
  readonly why?: readonly string[]
  readonly epoch?: string
  readonly generation?: number
  readonly worker: number
  readonly clientTcp?: object
  readonly endpointTcp?: object
}

export function accessFields(record: ConnectionRecord): AccessFields {
  const { service, frontend, tlsRoute, serverName, peer, endpoint, decidedBy, attempts, tcp } = record
  const connectMs = attempts.find(({ result }) => result === 'connected')?.durationMs
  const failed = attempts.some(({ result }) => result !== 'connected')
  return {
    ...(service === null ? {} : { service }),
    ...(frontend === null ? {} : { frontend }),
    ...(tlsRoute === null ? {} : { tlsRoute }),
    ...(serverName === null ? {} : { serverName }),
    client: record.client,
    ...(peer === null ? {} : { peer }),
    destination: record.originalDestination,
    ...(endpoint === null ? {} : { endpoint }),
    outcome: record.ended ?? record.state,
    fromClientBytes: record.fromClientBytes,
    fromEndpointBytes: record.fromEndpointBytes,
    ...(connectMs === undefined ? {} : { connectMs }),
    durationMs: record.durationMs,
    ...(failed ? { attempts: attempts.map(attemptText) } : {}),
    ...(decidedBy === null ? {} : decidedBy),
    worker: record.worker,
    ...(tcp.client === null ? {} : { clientTcp: tcp.client }),
    ...(tcp.endpoint === null ? {} : { endpointTcp: tcp.endpoint }),
  }
}

/** `default/web:http/TCP  10.0.0.1:4242 → 10.244.1.5:80  closed  120 B up, 4.5 kB down  in 12 ms (connected in 0.3 ms)` */
export function accessText(record: ConnectionRecord): string {
  const { service, client, peer, endpoint, originalDestination, attempts } = record
  const connectMs = attempts.find(({ result }) => result === 'connected')?.durationMs
  const failed = attempts.filter(({ result }) => result !== 'connected').map(attemptText)
  return [
    service ?? 'no Service',
    `${client}${peer === null ? '' : ` (through ${peer})`} → ${endpoint ?? originalDestination}`,
    record.ended ?? record.state,
    `${formatBytes(record.fromClientBytes)} up, ${formatBytes(record.fromEndpointBytes)} down`,
    `in ${msText(record.durationMs)}${connectMs === undefined ? '' : ` (connected in ${msText(connectMs)})`}`,
    ...(failed.length === 0 ? [] : [`after ${failed.join(', ')}`]),
  ].join('  ')
}

function attemptText({ endpoint, result, durationMs }: ConnectionRecord['attempts'][number]): string {
  return `${endpoint} ${result} ${msText(durationMs)}`
}

/** `0.3 ms`, `850 ms`, `12.5 s`, `3600 s`. */
function msText(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(ms < 100_000 ? 1 : 0)} s`
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}
