// The first packet of a connection, as far as Service semantics can tell packets apart.

import type { Ip } from '../model/ip.ts'
import type { Port, Protocol } from '../model/port.ts'

export interface Packet {
  readonly source: Ip
  readonly destination: Ip
  readonly port: Port
  readonly protocol: Protocol
  /** Name of the device that it came in by; '' for packets that a process of the node sends itself. */
  readonly inInterface: string
}

/** What else the verdict depends on and no object says. */
export interface NodeWorld {
  /** Every address of the node's devices, loopback included. */
  readonly localAddresses: ReadonlySet<Ip>
}
