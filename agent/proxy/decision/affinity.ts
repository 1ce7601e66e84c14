// ClientIP session affinity (rows 49 to 52): which endpoint a client of a Service port got last. Time comes from the
// caller. The table is bounded: a flood of client addresses forgets the clients seen longest ago, never grows.

import type { ServicePortKey } from '../../model/ids.ts'
import type { Ip } from '../../model/ip.ts'
import type { ViewEndpoint } from './view.ts'

export class AffinityTable {
  /** Least recently used first: a Map keeps insertion order, and remembering inserts again. */
  readonly #records = new Map<string, AffinityRecord>()
  readonly #capacity: number

  /** `capacity`: how many pairs of client and Service port it may hold; at least 1. */
  constructor(capacity = 100_000) {
    this.#capacity = Math.max(1, capacity)
  }

  get size(): number {
    return this.#records.size
  }

  /** What the client got last; undefined: nothing, or its time is over. The caller checks that it is still in the pool. */
  find(service: ServicePortKey, client: Ip, nowMs: number): Pick<ViewEndpoint, 'ip' | 'port'> | undefined {
    const record = this.#records.get(key(service, client))
    return record === undefined || record.expiresAtMs <= nowMs ? undefined : record.endpoint
  }

  /** Every new connection restarts the time (row 50). */
  remember(
    service: ServicePortKey,
    client: Ip,
    endpoint: Pick<ViewEndpoint, 'ip' | 'port'>,
    timeoutSeconds: number,
    nowMs: number,
  ): void {
    const at = key(service, client)
    this.#records.delete(at)
    this.#records.set(at, { endpoint, expiresAtMs: nowMs + timeoutSeconds * 1000 })
    if (this.#records.size > this.#capacity) this.#forgetOne()
  }

  /** Drops the records whose time is over; worth a call every minute or so. */
  sweep(nowMs: number): void {
    for (const [at, record] of this.#records) if (record.expiresAtMs <= nowMs) this.#records.delete(at)
  }

  /** The client seen longest ago first. */
  *records(): Iterable<RememberedClient> {
    for (const [at, { endpoint, expiresAtMs }] of this.#records) {
      const space = at.indexOf(' ')
      const client = at.slice(0, space) as Ip
      yield { client, service: at.slice(space + 1) as ServicePortKey, endpoint, expiresAtMs }
    }
  }

  #forgetOne(): void {
    const [oldest] = this.#records.keys()
    if (oldest !== undefined) this.#records.delete(oldest)
  }
}

export interface RememberedClient {
  readonly service: ServicePortKey
  readonly client: Ip
  readonly endpoint: Pick<ViewEndpoint, 'ip' | 'port'>
  /** Monotonic. */
  readonly expiresAtMs: number
}

interface AffinityRecord {
  readonly endpoint: Pick<ViewEndpoint, 'ip' | 'port'>
  readonly expiresAtMs: number
}

function key(service: ServicePortKey, client: Ip): string {
  return `${client} ${service}`
}
