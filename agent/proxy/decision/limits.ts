// Whether a Service port takes one more connection of a client. The limit is exact, because one thread decides for all
// workers, and it is fair: one client cannot take the last fifth of the room beyond its equal share, so that another one
// still gets in. What is open already is never closed for that.

import type { LimitPolicy } from '../../model/connection-policy.ts'

/** Open connections of a Service port on this node, before the one in question. */
export interface OpenConnections {
  readonly all: number
  readonly ofClient: number
  /** Clients that have a connection or were turned away lately, the one in question among them. */
  readonly clients: number
}

export type Admission =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'refused'; readonly because: LimitRefusal }

export type LimitRefusal =
  /** maxConnections are open. */
  | 'limit'
  /** The client has what one client may have. */
  | 'client-limit'

/** Free room beyond which a client may have more than its share: one in so many. */
const RESERVED_PART = 5

const ADMITTED: Admission = { kind: 'admitted' }
const FULL: Admission = { kind: 'refused', because: 'limit' }
const CLIENT_FULL: Admission = { kind: 'refused', because: 'client-limit' }

/**
 * In this order: nobody gets in at maxConnections; nobody beyond maxConnectionsPerClient; and with `fair`, below
 * maxConnections divided by the clients always, above it only while at least a fifth of the room is free.
 */
export function admission(
  open: OpenConnections,
  { maxConnections, maxConnectionsPerClient, fair }: LimitPolicy,
): Admission {
  if (maxConnections !== undefined && open.all >= maxConnections) return FULL
  if (maxConnectionsPerClient !== undefined && open.ofClient >= maxConnectionsPerClient) return CLIENT_FULL
  if (maxConnections === undefined || !fair) return ADMITTED
  // A first connection is within any share, also with more clients than room.
  const withinShare = open.ofClient === 0 || (open.ofClient + 1) * open.clients <= maxConnections
  const roomToSpare = (maxConnections - open.all) * RESERVED_PART >= maxConnections
  return withinShare || roomToSpare ? ADMITTED : CLIENT_FULL
}
